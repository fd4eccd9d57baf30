package observe

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// buckets fetches, in one query, the two buckets of a classic histogram that a
// latency check needs: +Inf counts all requests, the bound's those within it.
func (o Observer) buckets(ctx context.Context, l analysis.Latency, trial Trial, arm int, from, to time.Time) (all, within []analysis.Series, err error) {
	base, err := o.selector(l.Histogram, l.Arms, trial, arm)
	if err != nil {
		return nil, nil, err
	}
	bound := strconv.FormatFloat(l.Bound, 'g', -1, 64)
	// Client libraries differ in whether they write 1 or 1.0.
	s, err := base.bucket(`\+Inf`, regexp.QuoteMeta(bound), regexp.QuoteMeta(strconv.FormatFloat(l.Bound, 'f', 1, 64)))
	if err != nil {
		return nil, nil, err
	}
	series, err := o.fetch(ctx, s, from, to)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range series {
		le, err := strconv.ParseFloat(one.Labels["le"], 64)
		switch {
		case err != nil:
		case le == l.Bound:
			within = append(within, one)
		case one.Labels["le"] == "+Inf":
			all = append(all, one)
		}
	}
	if len(all) > 0 && len(within) == 0 {
		return nil, nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
			"histogram %s has no bucket with le=%q; use the bound of one of its buckets", l.Histogram, bound)}
	}
	return all, within, nil
}
