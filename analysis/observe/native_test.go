package observe

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promclient "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/serin-gitops/serin/analysis"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample is a native histogram at a second, from lower and upper bounds and
// counts of its buckets.
func sample(second int, buckets ...float64) analysis.Sample {
	s := analysis.Sample{Time: began.Add(time.Duration(second) * time.Second), Histogram: &analysis.Histogram{}}
	for i := 0; i+2 < len(buckets); i += 3 {
		s.Histogram.Buckets = append(s.Histogram.Buckets, analysis.Bucket{Lower: buckets[i], Upper: buckets[i+1], Count: buckets[i+2]})
		s.Value += buckets[i+2]
	}
	return s
}

func last(s analysis.Series) float64 { return s.Samples[len(s.Samples)-1].Value }

// TestWithin shares the requests of the bucket that holds the bound out by the
// formulas of the specification.
func TestWithin(t *testing.T) {
	inf := math.Inf(1)
	for name, tc := range map[string]struct {
		buckets []float64
		bound   float64
		within  float64
	}{
		"at a bound":             {[]float64{0.25, 0.5, 10, 0.5, 1, 20}, 0.5, 10},
		"exponential":            {[]float64{0.25, 0.5, 10, 0.5, 1, 20}, math.Sqrt(0.5), 10 + 20*0.5},
		"exponential, schema 2":  {[]float64{1, math.Exp2(0.25), 8, math.Exp2(0.25), math.Exp2(0.5), 8}, math.Exp2(0.125), 4},
		"coarse, schema -1":      {[]float64{0.25, 1, 8, 1, 4, 2}, 0.5, 4},
		"an empty bucket":        {[]float64{0.25, 0.5, 10, 2, 4, 5}, 1.5, 10},
		"above all":              {[]float64{0.25, 0.5, 10}, 3, 10},
		"below all":              {[]float64{0.25, 0.5, 10}, 0.1, 0},
		"around zero":            {[]float64{-0.001, 0.001, 10, 1, 2, 1}, 0.0005, 5},
		"zero, and negative":     {[]float64{-2, -1, 4, -0.001, 0.001, 10}, 0.0005, 4 + 7.5},
		"zero threshold of none": {[]float64{0, 0, 3, 0.5, 1, 4}, math.Sqrt(0.5), 3 + 2},
		"custom":                 {[]float64{0.1, 0.25, 10, 0.25, 1, 30}, 0.5, 10 + 10},
		"custom, the first":      {[]float64{-inf, 0.2, 10, 0.2, 0.5, 1}, 0.05, 2.5},
		"custom, the last":       {[]float64{0.1, 0.25, 10, 0.25, inf, 30}, 7, 10},
		"nothing":                {nil, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			total, within, ok := cumulate(analysis.Series{Samples: []analysis.Sample{sample(0, tc.buckets...)}}, tc.bound)
			if !ok || math.Abs(last(within)-tc.within) > 1e-9 || last(total) != sample(0, tc.buckets...).Value {
				t.Errorf("%g of %g within %g, %v; want %g of all", last(within), last(total), tc.bound, ok, tc.within)
			}
		})
	}
}

// TestCumulate follows a histogram through what a process may do to it.
func TestCumulate(t *testing.T) {
	nan := sample(3, 0.25, 0.5, 4)
	nan.Value += 2
	for name, tc := range map[string]struct {
		samples       []analysis.Sample
		total, within float64
	}{
		"rises": {[]analysis.Sample{sample(0, 0.25, 0.5, 3), sample(1, 0.25, 0.5, 5, 1, 2, 1)}, 6, 5},
		"began again": {
			[]analysis.Sample{sample(0, 0.25, 0.5, 8), sample(1, 0.25, 0.5, 3)}, 11, 11,
		},
		"began again and grew past": {
			[]analysis.Sample{sample(0, 0.25, 0.5, 8), sample(1, 0.25, 0.5, 3, 1, 2, 9)}, 20, 11,
		},
		// Had each sample been divided by its own buckets, 4 would be within at
		// first and 2 then, which is no reset.
		"merged its buckets": {
			[]analysis.Sample{sample(0, 0.25, 0.5, 4), sample(1, 0.0625, 1, 4), sample(2, 0.0625, 1, 8)}, 8, 6,
		},
		"widened around zero": {
			[]analysis.Sample{sample(0, 0.25, 0.5, 4), sample(1, -1, 1, 4), sample(2, -1, 1, 8)}, 8, 4,
		},
		"not a number": {[]analysis.Sample{nan}, 6, 4},
	} {
		t.Run(name, func(t *testing.T) {
			total, within, _ := cumulate(analysis.Series{Samples: tc.samples}, 0.5)
			if last(total) != tc.total || last(within) != tc.within {
				t.Errorf("%g of %g, want %g of %g", last(within), last(total), tc.within, tc.total)
			}
		})
	}
	if _, _, ok := cumulate(analysis.Series{Samples: []analysis.Sample{{Time: began, Value: 3}}}, 0.5); ok {
		t.Error("a number was taken for a histogram")
	}
}

// newHistogram is a program's, with so few buckets that it has to merge them.
func newHistogram() promclient.Histogram {
	return promclient.NewHistogram(promclient.HistogramOpts{
		Name: "h", NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 20, NativeHistogramMaxZeroThreshold: 0.01,
	})
}

// scrape reads a program's histogram as a server would.
func scrape(t *testing.T, h promclient.Histogram, second int) analysis.Sample {
	t.Helper()
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		t.Fatal(err)
	}
	d := m.GetHistogram()
	native := histogram.Histogram{
		Schema: d.GetSchema(), ZeroThreshold: d.GetZeroThreshold(), ZeroCount: d.GetZeroCount(),
		Count: d.GetSampleCount(), PositiveBuckets: d.GetPositiveDelta(),
	}
	for _, span := range d.GetPositiveSpan() {
		native.PositiveSpans = append(native.PositiveSpans, histogram.Span{Offset: span.GetOffset(), Length: span.GetLength()})
	}
	s := analysis.Sample{Time: began.Add(time.Duration(second) * time.Second), Value: float64(native.Count), Histogram: &analysis.Histogram{}}
	for buckets := native.ToFloat(nil).AllBucketIterator(); buckets.Next(); {
		if b := buckets.At(); b.Count > 0 {
			s.Histogram.Buckets = append(s.Histogram.Buckets, analysis.Bucket{Lower: b.Lower, Upper: b.Upper, Count: b.Count})
		}
	}
	return s
}

// TestCumulateAgainstTheTruth observes known durations in real histograms, which
// merge their buckets and begin again: all requests are counted exactly, and no
// more are put on the wrong side of the bound than are in the bucket that holds it.
func TestCumulateAgainstTheTruth(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		h, spread := newHistogram(), 0.2+2*rng.Float64()
		var samples []analysis.Sample
		var durations []float64
		for second := range 40 {
			n := rng.IntN(60)
			if len(samples) > 0 && rng.IntN(15) == 0 {
				h, n = newHistogram(), rng.IntN(max(1, int(samples[len(samples)-1].Value)))
			}
			for range n {
				d := 0.3 * math.Exp(spread*rng.NormFloat64())
				durations = append(durations, d)
				h.Observe(d)
			}
			samples = append(samples, scrape(t, h, second))
		}
		bound := 0.05 + rng.Float64()
		total, within, ok := cumulate(analysis.Series{Samples: samples}, bound)
		if !ok || last(total) != float64(len(durations)) {
			t.Fatalf("seed %d: %g counted, %d were served", seed, last(total), len(durations))
		}
		if !slices.IsSortedFunc(within.Samples, func(a, b analysis.Sample) int { return compare(a.Value, b.Value) }) {
			t.Errorf("seed %d: the counter within the bound falls: %+v", seed, within.Samples)
		}
		c := widest(samples, bound)
		below, atMost := atOrBelow(durations, c.lower), atOrBelow(durations, c.upper)
		if got := last(within); got < below-1e-6 || got > atMost+1e-6 {
			t.Errorf("seed %d: %g within %g, want %g to %g, the bounds of its bucket %g to %g", seed, got, bound, below, atMost, c.lower, c.upper)
		}
	}
}

func compare(a, b float64) int {
	switch {
	case a < b-1e-9:
		return -1
	case a > b+1e-9:
		return 1
	}
	return 0
}

func atOrBelow(durations []float64, bound float64) float64 {
	n := 0.0
	for _, d := range durations {
		if d <= bound {
			n++
		}
	}
	return n
}

// TestSchemas knows every width that exponential buckets may have, anywhere, and
// no custom one.
func TestSchemas(t *testing.T) {
	for schema := int32(-4); schema <= 8; schema++ {
		for _, offset := range []int32{-1000 << max(schema, 0) >> max(-schema, 0), -7, 0, 5, 1000 << max(schema, 0) >> max(-schema, 0)} {
			h := histogram.FloatHistogram{Schema: schema, PositiveSpans: []histogram.Span{{Offset: offset, Length: 3}}, PositiveBuckets: []float64{1, 2, 3}}
			var buckets []analysis.Bucket
			for it := h.AllBucketIterator(); it.Next(); {
				b := it.At()
				buckets = append(buckets, analysis.Bucket{Lower: b.Lower, Upper: b.Upper, Count: b.Count})
			}
			if hasCustomBuckets(buckets) {
				t.Errorf("schema %d from %d was taken for custom: %v", schema, offset, buckets)
			}
		}
	}
	for _, bounds := range [][]float64{{0.005, 0.01, 0.025}, {0.1, 0.2}, {3, 6}, {0.25, 0.5, 2}, {1, 10}} {
		var buckets []analysis.Bucket
		for i := range len(bounds) - 1 {
			buckets = append(buckets, analysis.Bucket{Lower: bounds[i], Upper: bounds[i+1], Count: 1})
		}
		if !hasCustomBuckets(buckets) {
			t.Errorf("custom bounds %v were taken for exponential", bounds)
		}
	}
}

// answers is a source that gives the same series to every question.
type answers struct {
	series  []analysis.Series
	queries int
}

func (a *answers) Series(context.Context, analysis.SeriesQuery) ([]analysis.Series, error) {
	a.queries++
	return a.series, nil
}

func (a *answers) Value(context.Context, analysis.ValueQuery) (float64, error) {
	return 0, errors.New("no value is asked for")
}

// TestNative counts both arms from one query, and says what to do where there is
// no native histogram.
func TestNative(t *testing.T) {
	pod := func(name string, samples ...analysis.Sample) analysis.Series {
		return analysis.Series{Labels: map[string]string{"__name__": "h", "pod": name}, Samples: samples}
	}
	source := &answers{series: []analysis.Series{
		pod("web-a-1", sample(0, 0.25, 0.5, 3), sample(15, 0.25, 0.5, 5, 1, 2, 1)),
		pod("web-b-1", sample(1, 0.25, 0.5, 3), sample(16, 0.25, 0.5, 3, 1, 2, 7)),
	}}
	check := analysis.Check{Name: "slow", Kind: analysis.KindLatency, Latency: &analysis.Latency{Histogram: "h", Native: true, Bound: 0.5}}
	window := analysis.Window{Start: began.Add(10 * time.Second), End: began.Add(20 * time.Second)}
	got := Observer{Source: source}.Window(t.Context(), check, trial, window)
	want := analysis.Observation{Check: "slow", Window: window, Stable: &analysis.Counts{Total: 3, Failed: 1}, Canary: &analysis.Counts{Total: 7, Failed: 7}}
	if diff := cmp.Diff(want, got); diff != "" || source.queries != 1 {
		t.Errorf("%d queries, want 1 (-want +got):\n%s", source.queries, diff)
	}
	source.series[1].Samples = []analysis.Sample{{Time: began, Value: 1}}
	got = Observer{Source: source}.Window(t.Context(), check, trial, window)
	if got.Absence == nil || got.Absence.Kind != analysis.BadQuery || !strings.Contains(got.Absence.Message, "h of the canary holds no native histogram") {
		t.Errorf("without a histogram: %+v", got.Absence)
	}
}
