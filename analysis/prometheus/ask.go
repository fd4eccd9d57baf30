package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"golang.org/x/oauth2"

	"github.com/serin-gitops/serin/analysis"
)

// longestMessage bounds what is said of an answer, in bytes.
const longestMessage = 1000

// ask evaluates a query at an instant, once for all who ask at the same time
// and for a short time after. A source that is away is asked by one question now
// and then.
func (c *Client) ask(ctx context.Context, query string, at time.Time) (model.Value, error) {
	key := query + "@" + at.UTC().Format(time.RFC3339Nano)
	about := question{client: c, query: query, at: at.UnixNano()}
	if value, ok := c.answers.get(about); ok {
		return value, nil
	}
	admitted := c.breaker.admit(time.Now())
	switch admitted {
	case toWithhold:
		c.withheld()
		return nil, c.away()
	case toProbe:
		// The same question may hang since before the source was found away.
		c.flights.Forget(key)
		patient, cancel := context.WithTimeout(ctx, probeWait)
		defer cancel()
		ctx = patient
	}
	flight := c.flights.DoChan(key, func() (any, error) {
		// Not the first asker's deadline: others wait for the same answer.
		value, err := c.query(context.WithoutCancel(ctx), query, at)
		if err == nil && !empty(value) {
			c.answers.put(about, value)
		}
		return value, err
	})
	select {
	case <-ctx.Done():
		if admitted == toProbe {
			return nil, c.away()
		}
		return nil, c.outage(ctx.Err())
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(model.Value), nil
	}
}

// query asks the server. What it waits for the budget is its own fault, and takes
// nothing from the time that the server has.
func (c *Client) query(ctx context.Context, query string, at time.Time) (model.Value, error) {
	began := time.Now()
	if err := c.afford(ctx); err != nil {
		c.asked(time.Since(began), false)
		return nil, err
	}
	waited := time.Since(began)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, giveBack := withShare(ctx, c.reading)
	defer giveBack()
	sent := time.Now()
	value, warnings, err := c.send(ctx, query, at)
	c.asked(waited, err == nil)
	if err != nil {
		err = c.classify(err, query)
	}
	c.note(err, sent)
	if err != nil {
		return nil, err
	}
	if warnings = slices.DeleteFunc(warnings, isInfo); len(warnings) > 0 {
		return nil, &analysis.Absence{Kind: analysis.Partial, Message: short(c.clean(strings.Join(warnings, "; ")))}
	}
	return value, nil
}

// send asks the server once.
func (c *Client) send(ctx context.Context, query string, at time.Time) (model.Value, []string, error) {
	connection := &quick{Client: c.server}
	value, warnings, _, err := promv1.NewAPI(connection).Query(ctx, query, at)
	if err != nil {
		return nil, nil, err
	}
	if connection.read != nil {
		return connection.read.value(), connection.read.warnings, nil
	}
	switch value.(type) {
	case *model.Scalar, *model.String:
		return value, warnings, nil
	}
	return nil, nil, connection.refusal()
}

// afford waits until the budget has room for a query.
func (c *Client) afford(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.budget.Wait(ctx); err != nil {
		return c.outage(fmt.Errorf("the budget of %g queries a second is spent; raise --prometheus-queries, or look less often: %w", float64(c.budget.Limit()), err))
	}
	return nil
}

// note tells the breaker how a question ended. A server that calls a query wrong,
// or answers with less than all, has answered.
func (c *Client) note(err error, sent time.Time) {
	var absence *analysis.Absence
	if errors.As(err, &absence) && absence.Kind == analysis.Outage {
		c.breaker.fail(sent, time.Now(), strings.TrimPrefix(absence.Message, c.prefix()))
		return
	}
	c.breaker.succeed(time.Now())
}

// away is the outage of a source that is not asked now.
func (c *Client) away() error {
	return &analysis.Absence{Kind: analysis.Outage, Message: c.clean(c.prefix() + c.breaker.describe(time.Now()))}
}

// prefix begins what is said of a source that does not answer.
func (c *Client) prefix() string { return "prometheus " + c.where + ": " }

// isInfo says that a warning is of the kind that Prometheus 2.54 and later, but
// neither earlier ones nor Thanos, put into a list of their own: what is said of
// a query that may well be meant so, such as a rate of a metric whose name does
// not end in _total.
func isInfo(warning string) bool { return strings.HasPrefix(warning, "PromQL info:") }

// storeAway says that a query failed while it was executed because what holds
// the samples could not be reached. Thanos without partial responses answers so
// with the error type of a query that cannot be executed (thanos-io/thanos#6223).
func storeAway(message string) bool {
	for _, sign := range []string{"expanding series", "rpc error", "cannot fetch", "context deadline exceeded", "context canceled", "connection refused"} {
		if strings.Contains(message, sign) {
			return true
		}
	}
	return false
}

// classify tells a wrong question from a source that cannot answer.
// VictoriaMetrics gives the status code as the error's type; Mimir says "no org id"
// where no tenant is named. Of an answer that is too large only a part was read,
// which is not counted.
func (c *Client) classify(err error, query string) error {
	var large *excess
	if errors.As(err, &large) {
		return &analysis.Absence{Kind: analysis.Partial, Message: c.clean(fmt.Sprintf("prometheus %s: %v: %s", c.where, large, short(query)))}
	}
	var answer *promv1.Error
	if !errors.As(err, &answer) {
		return c.outage(err)
	}
	switch answer.Type {
	case promv1.ErrExec, "422":
		if storeAway(answer.Msg) {
			return c.outage(answer)
		}
		return &analysis.Absence{Kind: analysis.BadQuery, Message: c.clean(answer.Msg)}
	case promv1.ErrBadData, "400":
		return &analysis.Absence{Kind: analysis.BadQuery, Message: c.clean(answer.Msg)}
	case promv1.ErrClient:
		if strings.HasSuffix(answer.Msg, " 401") || strings.HasSuffix(answer.Msg, " 403") {
			if strings.Contains(answer.Detail, "no org id") {
				return c.outage(fmt.Errorf("%s: no tenant; set the header X-Scope-OrgID in the source's headers", answer.Msg))
			}
			return c.outage(fmt.Errorf("%s: access denied; check the credentials in the source's secret", answer.Msg))
		}
	}
	return c.outage(answer)
}

func (c *Client) outage(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		// The URL around it holds the whole query.
		err = inner.Err
	}
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode != "":
		err = fmt.Errorf("oauth2: no token: %s %s; check clientID, clientSecret and scopes", refused.ErrorCode, refused.ErrorDescription)
	case errors.As(err, &refused) && refused.Response != nil:
		// Not the answer's body: whatever page it is, it says no more.
		err = fmt.Errorf("oauth2: no token: %s; check tokenURL, clientID and clientSecret", refused.Response.Status)
	}
	return &analysis.Absence{Kind: analysis.Outage, Message: c.clean(c.prefix() + err.Error())}
}

// clean removes secrets, whoever put them into a message, and what is more than a
// person reads of what a server says. Not the other way round: half a secret would
// not be known again.
func (c *Client) clean(message string) string {
	return cut(c.secrets.clean(message), longestMessage)
}

// empty answers may fill up later and are not remembered.
func empty(value model.Value) bool {
	switch v := value.(type) {
	case model.Matrix:
		return len(v) == 0
	case model.Vector:
		return len(v) == 0
	}
	return false
}

// short is a query as messages have it.
func short(s string) string { return cut(s, 120) }

// cut ends a text after so many bytes.
func cut(s string, longest int) string {
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
