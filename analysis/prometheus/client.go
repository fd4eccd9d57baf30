// Package prometheus answers analysis.Source from any server with the
// Prometheus HTTP API (Prometheus, Thanos, Mimir, VictoriaMetrics). It sticks
// to /api/v1/query, which all of them have.
package prometheus

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// DefaultTimeout bounds one query with its retries, and what it waits for the
	// budget before.
	DefaultTimeout = 10 * time.Second
	// DefaultQueriesPerSecond is the budget of one source: what 1,000 rollouts
	// with two checks of it every 10 s need.
	DefaultQueriesPerSecond = 200
	retries                 = 2
)

// Options say how a server is reached. Secrets are given as values and never
// appear in an error.
type Options struct {
	// URL of the server, to which /api/v1 is added.
	URL string
	// Username and Password for basic authentication, or Token as bearer, or OAuth2.
	Username string
	Password string
	Token    string
	OAuth2   *OAuth2
	// CA, Certificate and Key are PEM: the authority the server is checked
	// with, and the client's own pair.
	CA          string
	Certificate string
	Key         string
	// Headers sent with every request, such as X-Scope-OrgID.
	Headers map[string]string
	// ProxyURL of an HTTP proxy; empty means that of the environment.
	ProxyURL string
	// Timeout of one query with its retries, and of its wait for the budget; 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// QueriesPerSecond is the budget; 0 means DefaultQueriesPerSecond.
	QueriesPerSecond float64
	// Asked, where set, is told of each query: how long it waited for the budget,
	// and whether it was answered.
	Asked func(waited time.Duration, answered bool) `json:"-"`
	// Withheld, where set, is told of each query that was not asked since the source
	// is away.
	Withheld func() `json:"-"`
}

// OAuth2 is the client credentials grant (RFC 6749, 4.4).
type OAuth2 struct {
	ClientID     string
	ClientSecret string
	TokenURL     string
	Scopes       []string
}

// Client is a Source. Identical questions asked at once share one request,
// and the answers about a past window are remembered for a short time.
type Client struct {
	server  api.Client
	where   string
	secrets secrets
	timeout time.Duration
	budget  *rate.Limiter
	asked   func(waited time.Duration, answered bool)
	flights singleflight.Group
	// breaker is nil where a source that is away is asked all the same.
	breaker  *breaker
	withheld func()
	// answers are those of late; reading is what all may read at once.
	answers *cache
	reading *semaphore.Weighted
	// release closes the connections that are not in use.
	release func()
}

var _ analysis.Source = (*Client)(nil)

// New makes a client. It does not contact the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("prometheus url %q is not an absolute URL such as http://prometheus:9090", redactURL(o.URL))
	}
	known := secretsOf(o)
	httpClient, err := newHTTPClient(o)
	if err != nil {
		return nil, fmt.Errorf("prometheus %s: %s", plain(u), known.clean(err.Error()))
	}
	c, err := api.NewClient(api.Config{Address: address(u), Client: httpClient})
	if err != nil {
		return nil, fmt.Errorf("prometheus %s: %s", plain(u), known.clean(err.Error()))
	}
	perSecond := o.QueriesPerSecond
	if perSecond <= 0 {
		perSecond = DefaultQueriesPerSecond
	}
	asked := o.Asked
	if asked == nil {
		asked = func(time.Duration, bool) {}
	}
	withheld := o.Withheld
	if withheld == nil {
		withheld = func() {}
	}
	return &Client{
		asked: asked, withheld: withheld,
		server: c, where: plain(u), secrets: known, timeout: o.timeout(),
		release: httpClient.CloseIdleConnections,
		budget:  rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond))),
		answers: newCache(), reading: semaphore.NewWeighted(maxReading),
	}, nil
}

// address is where queries go, with the parameters that make the answers of
// VictoriaMetrics those of Prometheus, which passes over them: samples are seen
// at once, and not only after -search.latencyOffset (30 s), before which an
// expression gives the number of then; and an answer that lacks what a storage
// node would have given is an error, where otherwise nothing that the common API
// has tells it from a full one. What the URL itself says stands.
func address(u *url.URL) string {
	asked, parameters := *u, u.Query()
	for _, parameter := range [][2]string{{"latency_offset", "1ms"}, {"deny_partial_response", "1"}} {
		if !parameters.Has(parameter[0]) {
			parameters.Set(parameter[0], parameter[1])
		}
	}
	asked.RawQuery = parameters.Encode()
	return asked.String()
}

func (o Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultTimeout
	}
	return o.Timeout
}

// Series implements analysis.Source by one instant query over a range selector.
func (c *Client) Series(ctx context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	span := q.End.Sub(q.Start)
	if span <= 0 {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("window ends at %s, not after its start", q.End.UTC().Format(time.RFC3339))}
	}
	value, err := c.ask(ctx, fmt.Sprintf("%s[%dms]", q.Selector, span.Milliseconds()), q.End)
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("selector %s gave a %s, not series", q.Selector, value.Type())}
	}
	series := make([]analysis.Series, 0, len(matrix))
	for _, stream := range matrix {
		if s := convert(stream, q); len(s.Samples) > 0 {
			series = append(series, s)
		}
	}
	return joined(sorted(series)), nil
}

// joined makes one of series that a server gave more than once, in order of
// their labels: each sample is then there once.
func joined(series []analysis.Series) []analysis.Series {
	var once []analysis.Series
	for _, s := range series {
		if n := len(once); n > 0 && maps.Equal(once[n-1].Labels, s.Labels) {
			once[n-1].Samples = ordered(append(slices.Clone(once[n-1].Samples), s.Samples...))
			continue
		}
		once = append(once, s)
	}
	return once
}

// ordered sorts samples and keeps one of an instant.
func ordered(samples []analysis.Sample) []analysis.Sample {
	slices.SortStableFunc(samples, func(a, b analysis.Sample) int { return a.Time.Compare(b.Time) })
	return slices.CompactFunc(samples, func(a, b analysis.Sample) bool { return a.Time.Equal(b.Time) })
}

// sorted orders series by their keys, each of which is made once.
func sorted(series []analysis.Series) []analysis.Series {
	keys, order := make([]string, len(series)), make([]int, len(series))
	for i := range series {
		keys[i], order[i] = series[i].Key(), i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	inOrder := make([]analysis.Series, len(series))
	for i, from := range order {
		inOrder[i] = series[from]
	}
	return inOrder
}

// convert sorts samples and drops what is outside (Start, End] or repeated.
func convert(stream *model.SampleStream, q analysis.SeriesQuery) analysis.Series {
	s := analysis.Series{
		Labels:  make(map[string]string, len(stream.Metric)),
		Samples: make([]analysis.Sample, 0, len(stream.Values)+len(stream.Histograms)),
	}
	for name, value := range stream.Metric {
		s.Labels[string(name)] = string(value)
	}
	for _, v := range stream.Values {
		at := v.Timestamp.Time()
		if at.After(q.Start) && !at.After(q.End) {
			s.Samples = append(s.Samples, analysis.Sample{Time: at, Value: float64(v.Value)})
		}
	}
	for _, v := range stream.Histograms {
		at := v.Timestamp.Time()
		if v.Histogram != nil && at.After(q.Start) && !at.After(q.End) {
			s.Samples = append(s.Samples, analysis.Sample{Time: at, Value: float64(v.Histogram.Count), Histogram: histogram(v.Histogram)})
		}
	}
	s.Samples = ordered(s.Samples)
	return s
}

// Value implements analysis.Source by one instant query.
func (c *Client) Value(ctx context.Context, q analysis.ValueQuery) (float64, error) {
	value, err := c.ask(ctx, q.Expression, q.At)
	if err != nil {
		return 0, err
	}
	switch v := value.(type) {
	case *model.Scalar:
		return float64(v.Value), nil
	case model.Vector:
		switch len(v) {
		case 0:
			return 0, &analysis.Absence{Kind: analysis.NoData, Message: fmt.Sprintf("query %s gave nothing", short(q.Expression))}
		case 1:
			return float64(v[0].Value), nil
		}
		return 0, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("query %s gave %d series; aggregate them to one number", short(q.Expression), len(v))}
	}
	return 0, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("query %s gave a %s, not a number", short(q.Expression), value.Type())}
}
