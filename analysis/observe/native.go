package observe

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/serin-gitops/serin/analysis"
)

// native fetches a native histogram of each arm and derives from it the two
// counters that a classic histogram has: of all requests and of those within the
// bound.
func (o Observer) native(ctx context.Context, l analysis.Latency, trial Trial, from, to time.Time) (all, within [2][]analysis.Series, err error) {
	p, err := o.pair(l.Histogram, l.Arms, trial)
	if err != nil {
		return all, within, err
	}
	series, err := o.fetch(ctx, p, from, to)
	if err != nil {
		return all, within, err
	}
	for arm := range series {
		for _, one := range series[arm] {
			if total, part, ok := cumulate(one, l.Bound); ok {
				all[arm], within[arm] = append(all[arm], total), append(within[arm], part)
			}
		}
		if len(series[arm]) > 0 && len(all[arm]) == 0 {
			return all, within, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
				"%s of %s holds no native histogram; leave native out where it is a classic one, or let the server scrape native ones",
				l.Histogram, armNames[arm])}
		}
	}
	return all, within, nil
}

// cumulate derives two counters out of a series of native histograms, and false
// where it has none. The counters begin at what the first histogram holds and
// never fall: a process that began again shows in its buckets even where its
// total has grown past the old one, so that is the place to tell.
func cumulate(s analysis.Series, bound float64) (total, within analysis.Series, ok bool) {
	var samples []analysis.Sample
	for _, p := range s.Samples {
		if p.Histogram != nil && p.Value >= 0 && !math.IsInf(p.Value, 0) {
			samples = append(samples, p)
		}
	}
	if len(samples) == 0 {
		return total, within, false
	}
	cut := widest(samples, bound)
	total, within = analysis.Series{Labels: s.Labels}, analysis.Series{Labels: s.Labels}
	var sum, part float64
	var last parts
	for _, p := range samples {
		now := cut.divide(p)
		rise := now.since(last)
		sum, part = sum+rise.total(), part+rise.below+rise.inside*cut.share
		total.Samples = append(total.Samples, analysis.Sample{Time: p.Time, Value: sum})
		within.Samples = append(within.Samples, analysis.Sample{Time: p.Time, Value: part})
		last = now
	}
	return total, within, true
}

// cut is the bucket that holds the bound, and the share of its observations that
// are within the bound.
type cut struct {
	bound, lower, upper float64
	share               float64
}

// widest finds the bucket that holds the bound. A process may merge buckets, or
// widen the one around zero, while it runs
// (https://prometheus.io/docs/specs/native_histograms/#limiting-the-bucket-count);
// coarser buckets are unions of finer ones, so that the widest of all samples
// divides each of them alike, and no observation changes sides between two.
//
// Observations are shared out as histogram_fraction does since Prometheus 3.0
// (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_fraction):
// on a logarithmic scale in exponential buckets, evenly in custom ones and in the
// bucket around zero, which begins at zero where nothing is negative.
func widest(samples []analysis.Sample, bound float64) cut {
	c := cut{bound: bound, lower: bound, upper: bound}
	custom, negative := false, false
	for _, s := range samples {
		custom = custom || hasCustomBuckets(s.Histogram.Buckets)
		for _, b := range s.Histogram.Buckets {
			negative = negative || b.Lower < 0 && b.Upper <= 0
			if b.Lower < bound && bound < b.Upper {
				c.lower, c.upper = min(c.lower, b.Lower), max(c.upper, b.Upper)
			}
		}
	}
	c.share = c.fraction(custom, negative)
	return c
}

func (c cut) fraction(custom, negative bool) float64 {
	lower := c.lower
	if lower < 0 && (custom || !negative) {
		// Nothing lies below zero: of custom buckets the first begins there, as
		// that of a classic histogram does.
		lower = 0
	}
	switch {
	case c.lower == c.upper, math.IsInf(c.upper, 1):
		// No bucket is divided; and who went beyond the last bound was not within.
		return 0
	default:
		linear := custom || c.lower <= 0
		return histogram.Bucket[float64]{Lower: lower, Upper: c.upper}.FractionBelow(c.bound, linear)
	}
}

// parts are the observations of a histogram on either side of the bucket that
// holds the bound, and in it. Those that are not a number are above.
type parts struct {
	below, inside, above float64
}

func (p parts) total() float64 { return p.below + p.inside + p.above }

// since is what was observed after an earlier histogram of the same series; all
// of it where the process has begun again.
func (p parts) since(earlier parts) parts {
	if p.below < earlier.below || p.inside < earlier.inside || p.above < earlier.above {
		return p
	}
	return parts{below: p.below - earlier.below, inside: p.inside - earlier.inside, above: p.above - earlier.above}
}

// divide counts a histogram's observations on the sides of the cut.
func (c cut) divide(s analysis.Sample) parts {
	var p parts
	for _, b := range s.Histogram.Buckets {
		switch {
		case b.Upper <= c.lower:
			p.below += b.Count
		case b.Lower < c.upper:
			p.inside += b.Count
		}
	}
	p.above = max(s.Value-p.below-p.inside, 0)
	return p
}

// hasCustomBuckets tells custom buckets from exponential ones by their bounds,
// since the API does not. Custom buckets whose bounds are exponential too are
// taken for such; that shows only in how the requests of one bucket are shared
// out, not at a bucket's bound.
func hasCustomBuckets(buckets []analysis.Bucket) bool {
	width := 0.0
	for _, b := range buckets {
		if b.Lower <= 0 && b.Upper >= 0 && b.Lower == -b.Upper || math.Abs(b.Lower) == math.MaxFloat64 || math.Abs(b.Upper) == math.MaxFloat64 {
			continue // around zero, or at the end of numbers
		}
		w, ok := exponential(b)
		if !ok || width != 0 && w != width {
			return true
		}
		width = w
	}
	return false
}

// exponential is true of a bucket of a standard schema n from -4 to 8: its bounds
// are powers of 2^(2^-n) that follow each other
// (https://prometheus.io/docs/specs/native_histograms/#schema). Its width is
// 2^-n doublings.
func exponential(b analysis.Bucket) (width float64, ok bool) {
	lower, upper := math.Log2(math.Abs(b.Lower)), math.Log2(math.Abs(b.Upper))
	schema := -math.Log2(math.Abs(upper - lower))
	if !(schema > -4.5 && schema < 8.5) || !whole(schema) {
		return 0, false
	}
	width = math.Exp2(-math.Round(schema))
	return width, whole(upper/width) && whole(lower/width)
}

// whole is true of integers, up to the rounding of logarithms.
func whole(x float64) bool { return math.Abs(x-math.Round(x)) < 1e-6 }
