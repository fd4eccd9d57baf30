package observe

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// buckets fetches the two buckets of a classic histogram that a latency check
// needs: +Inf counts all requests, and those over the bound are what +Inf has
// more than the bound's bucket. The slow ones are returned as counters of
// their own.
func (o Observer) buckets(ctx context.Context, l analysis.Latency, args map[string]string, from, to time.Time) (all, slow []analysis.Series, err error) {
	selector, err := bucketSelector(l)
	if err != nil {
		return nil, nil, err
	}
	series, err := o.fetch(ctx, selector, args, from, to)
	if err != nil {
		return nil, nil, err
	}
	within := map[string]analysis.Series{}
	for _, s := range series {
		le, parseErr := strconv.ParseFloat(s.Labels["le"], 64)
		switch {
		case parseErr != nil:
			continue
		case s.Labels["le"] == "+Inf":
			all = append(all, s)
		case le == l.Bound:
			within[withoutBound(s.Labels)] = s
		}
	}
	for _, s := range all {
		fast, ok := within[withoutBound(s.Labels)]
		if !ok {
			return nil, nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
				"the histogram has no bucket with le=%q; use the bound of a bucket", formatBound(l.Bound))}
		}
		slow = append(slow, subtract(s, fast))
	}
	return all, slow, nil
}

// bucketSelector narrows the selector to the two buckets.
func bucketSelector(l analysis.Latency) (string, error) {
	bound := formatBound(l.Bound)
	spellings := []string{bound, `\\+Inf`}
	if !strings.ContainsAny(bound, ".e") {
		// client libraries differ in whether they write 1 or 1.0
		spellings = append(spellings, bound+".0")
	}
	le := `le=~"` + strings.ReplaceAll(strings.Join(spellings, "|"), ".", `\\.`) + `"`
	selector := strings.TrimSpace(l.Buckets)
	switch {
	case strings.HasSuffix(selector, "}"):
		inner := strings.TrimSpace(strings.TrimSuffix(selector, "}"))
		if !strings.HasSuffix(inner, "{") && !strings.HasSuffix(inner, ",") {
			inner += ","
		}
		return inner + le + "}", nil
	case strings.ContainsAny(selector, "{}"):
		return "", &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("latency.buckets %q is not a selector", l.Buckets)}
	}
	return selector + "{" + le + "}", nil
}

func formatBound(bound float64) string { return strconv.FormatFloat(bound, 'g', -1, 64) }

// withoutBound names a histogram's series apart from its bucket.
func withoutBound(labels map[string]string) string {
	rest := make(map[string]string, len(labels))
	for k, v := range labels {
		if k != "le" {
			rest[k] = v
		}
	}
	return analysis.Series{Labels: rest}.Key()
}

// subtract gives all minus fast, sample by sample; both come from one scrape.
func subtract(all, fast analysis.Series) analysis.Series {
	at := make(map[int64]float64, len(fast.Samples))
	for _, s := range fast.Samples {
		at[s.Time.UnixMilli()] = s.Value
	}
	slow := analysis.Series{Labels: all.Labels}
	for _, s := range all.Samples {
		if v, ok := at[s.Time.UnixMilli()]; ok {
			slow.Samples = append(slow.Samples, analysis.Sample{Time: s.Time, Value: s.Value - v})
		}
	}
	return slow
}
