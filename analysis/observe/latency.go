package observe

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// latency fetches the counters of all requests and of those within the bound, of
// each arm.
func (o Observer) latency(ctx context.Context, l analysis.Latency, trial Trial, from, to time.Time) (all, within [2][]analysis.Series, err error) {
	if l.Native {
		return o.native(ctx, l, trial, from, to)
	}
	return o.buckets(ctx, l, trial, from, to)
}

// buckets fetches the two buckets of a classic histogram that a latency check
// needs, of each arm: +Inf counts all requests, the bound's those within it.
func (o Observer) buckets(ctx context.Context, l analysis.Latency, trial Trial, from, to time.Time) (all, within [2][]analysis.Series, err error) {
	p, err := o.pair(l.Histogram, l.Arms, trial)
	if err != nil {
		return all, within, err
	}
	bound := strconv.FormatFloat(l.Bound, 'g', -1, 64)
	for arm := range p {
		// Client libraries differ in whether they write 1 or 1.0.
		if p[arm], err = p[arm].bucket(`\+Inf`, regexp.QuoteMeta(bound), regexp.QuoteMeta(strconv.FormatFloat(l.Bound, 'f', 1, 64))); err != nil {
			return all, within, err
		}
	}
	series, err := o.fetch(ctx, p, from, to)
	if err != nil {
		return all, within, err
	}
	for arm := range series {
		all[arm], within[arm] = bucketsOf(series[arm], l.Bound)
		if len(all[arm]) > 0 && len(within[arm]) == 0 {
			return all, within, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
				"histogram %s has no bucket with le=%q; use the bound of one of its buckets", l.Histogram, bound)}
		}
	}
	return all, within, nil
}

// bucketsOf tells the bucket of all requests from that of those within a bound.
func bucketsOf(series []analysis.Series, bound float64) (all, within []analysis.Series) {
	for _, one := range series {
		le, err := strconv.ParseFloat(one.Labels["le"], 64)
		switch {
		case err != nil:
		case le == bound:
			within = append(within, one)
		case one.Labels["le"] == "+Inf":
			all = append(all, one)
		}
	}
	return all, within
}
