package usage_test

import (
	"math"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/analysis/usage"
)

const mib = 1 << 20

func TestAssess(t *testing.T) {
	memory := usage.Limits{Memory: &usage.Bound{Series: "m", IgnoreBelow: 64 * mib}}
	both := usage.Limits{CPU: &usage.Bound{Series: "c", Ratio: 1.5}, Memory: memory.Memory}
	for _, tc := range []struct {
		name   string
		limits usage.Limits
		seen   usage.Seen
		failed bool
		want   string
	}{
		{"over the ratio", memory, usage.Seen{Memory: &usage.Medians{Canary: 412 * mib, Stable: 180 * mib}}, true,
			"memory 412 MiB a pod, stable 180 MiB (2.3 times, at most 2)"},
		{"at the ratio", memory, usage.Seen{Memory: &usage.Medians{Canary: 360 * mib, Stable: 180 * mib}}, false,
			"memory 360 MiB a pod, stable 180 MiB (2 times, at most 2)"},
		{"over the ratio, of little", memory, usage.Seen{Memory: &usage.Medians{Canary: 60 * mib, Stable: 10 * mib}}, false, "ignored up to 64 MiB"},
		{"stable uses nothing", memory, usage.Seen{Memory: &usage.Medians{Canary: 65 * mib}}, true, "memory 65 MiB a pod, stable nothing"},
		{"neither uses anything", memory, usage.Seen{Memory: &usage.Medians{}}, false, "memory 0 B a pod, stable nothing"},
		{"the failing one first", both, usage.Seen{CPU: &usage.Medians{Canary: 0.302, Stable: 0.2}, Memory: &usage.Medians{Canary: 100 * mib, Stable: 55 * mib}}, true,
			"CPU 302m a pod, stable 200m (just over 1.5 times, at most 1.5); memory 100 MiB"},
		{"the failing one first, whatever its place", both, usage.Seen{CPU: &usage.Medians{Canary: 1, Stable: 1}, Memory: &usage.Medians{Canary: 300 * mib, Stable: 100 * mib}}, true,
			"memory 300 MiB a pod, stable 100 MiB (3 times, at most 2); CPU 1 cores a pod, stable 1 cores (1 times, at most 1.5)"},
		{"the nearer one first", both, usage.Seen{CPU: &usage.Medians{Canary: 1.2, Stable: 1}, Memory: &usage.Medians{Canary: 100 * mib, Stable: 55 * mib}}, false,
			"memory 100 MiB a pod, stable 55 MiB (1.8 times, at most 2); CPU 1.2 cores"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := usage.Assess(tc.limits, tc.seen)
			if strings.Count(f.Message, "memory") != 1 || strings.Count(f.Message, "CPU") > 1 {
				t.Errorf("%q says something twice", f.Message)
			}
			if f.Failed != tc.failed || !strings.Contains(f.Message, tc.want) || math.IsInf(f.Number, 0) || math.IsNaN(f.Number) {
				t.Errorf("got %+v; want failed %v and %q", f, tc.failed, tc.want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	limits := usage.Limits{CPU: &usage.Bound{Series: "c"}, Memory: &usage.Bound{Series: "m"}}
	good := &usage.Medians{Canary: 1, Stable: 1}
	for _, tc := range []struct {
		name string
		seen usage.Seen
		want bool
	}{
		{"both", usage.Seen{CPU: good, Memory: good}, true},
		{"no memory", usage.Seen{CPU: good}, false},
		{"not a number", usage.Seen{CPU: good, Memory: &usage.Medians{Canary: math.NaN()}}, false},
		{"less than nothing", usage.Seen{CPU: good, Memory: &usage.Medians{Canary: -1}}, false},
		{"without end", usage.Seen{CPU: &usage.Medians{Stable: math.Inf(1)}, Memory: good}, false},
	} {
		if got := tc.seen.Covers(limits); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		limits usage.Limits
		want   string
	}{
		{usage.Limits{}, "neither cpu nor memory"},
		{usage.Limits{CPU: &usage.Bound{}}, "resources.cpu.series is empty"},
		{usage.Limits{Memory: &usage.Bound{Series: "m", Ratio: -1}}, "resources.memory.ratio is -1"},
		{usage.Limits{Memory: &usage.Bound{Series: "m", IgnoreBelow: -5}}, "resources.memory.ignoreBelow is -5"},
	} {
		if err := tc.limits.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
		ok     bool
	}{{nil, 0, false}, {[]float64{3}, 3, true}, {[]float64{9, 1, 2}, 2, true}, {[]float64{4, 1}, 2.5, true}} {
		if got, ok := usage.Median(tc.values); got != tc.want || ok != tc.ok {
			t.Errorf("%v: %g %v, want %g %v", tc.values, got, ok, tc.want, tc.ok)
		}
	}
}
