package counting_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
)

// used makes the series of one run of a container from pairs of second and value.
func used(pod, container, run string, pairs ...float64) analysis.Series {
	s := counter(pod, "", pairs...)
	s.Labels = map[string]string{"pod": pod, "container": container, "id": run, "name": run}
	return s
}

func TestUsage(t *testing.T) {
	w := analysis.Window{Start: at(10), End: at(20)}
	for _, tc := range []struct {
		name          string
		series        []analysis.Series
		rates, values []float64
	}{
		{"two containers of two pods", []analysis.Series{
			used("b", "main", "1", 8, 100, 18, 105), used("b", "side", "2", 9, 7, 14, 12), used("a", "main", "3", 10, 1, 20, 3),
		}, []float64{0.2, 1.5}, []float64{3, 117}},
		{"nothing in the window", []analysis.Series{used("a", "main", "1", 2, 1, 9, 2, 21, 9)}, nil, nil},
		{"one sample says no rate", []analysis.Series{used("a", "main", "1", 15, 4)}, nil, []float64{4}},
		{"two samples of a new pod", []analysis.Series{used("a", "main", "1", 12, 4, 16, 6)}, []float64{0.5}, []float64{6}},
		{"a part of a pod is not a pod", []analysis.Series{used("a", "main", "1", 8, 1, 16, 2), used("a", "side", "2", 15, 3)}, nil, []float64{5}},
		{"a container that was started again counts once", []analysis.Series{
			used("a", "main", "1", 8, 100, 12, 102), used("a", "main", "2", 14, 1, 18, 3),
		}, []float64{0.5}, []float64{3}},
		{"runs in sight together", []analysis.Series{
			used("a", "main", "1", 8, 100, 13, 105, 14, 900), used("a", "main", "2", 14, 1, 18, 5),
		}, []float64{1}, []float64{5}},
		{"an amount that is none", []analysis.Series{used("a", "main", "1", 8, 1, 12, math.NaN(), 14, -3, 15, math.Inf(1), 18, 6)}, []float64{0.5}, []float64{6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near := cmpopts.EquateApprox(0, 1e-9)
			if diff := cmp.Diff(tc.rates, counting.Rates(w, tc.series), near); diff != "" {
				t.Errorf("rates (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.values, counting.Values(w, tc.series), near); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRatesKeepTheAmount has a container use CPU at a changing pace, looked at
// at odd times, and wants what consecutive windows say to add up to all of it.
func TestRatesKeepTheAmount(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var pairs []float64
		total, second := 0.0, 0.0
		for second < 600 {
			pairs = append(pairs, second, total)
			gap := 5 + 10*rng.Float64()
			second, total = second+gap, total+gap*rng.Float64()
		}
		s := used("a", "main", "1", pairs...)
		sum, last := 0.0, 0
		for k := 30; k <= 600; k += 30 {
			w := analysis.Window{Start: at(float64(k - 30)), End: at(float64(k))}
			rates := counting.Rates(w, []analysis.Series{s})
			first := last
			for i, sample := range s.Samples {
				if !sample.Time.After(w.End) {
					last = i
				}
			}
			sum += rates[0] * s.Samples[last].Time.Sub(s.Samples[first].Time).Seconds()
		}
		if want := s.Samples[last].Value; math.Abs(sum-want) > 1e-6*want {
			t.Errorf("seed %d: the windows have %g CPU seconds, used were %g", seed, sum, want)
		}
	}
}
