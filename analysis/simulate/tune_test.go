package simulate

import (
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

func TestTune(t *testing.T) {
	spec := analysis.Spec{Checks: []analysis.Check{{Name: "errors", Kind: analysis.KindRatio, Interval: 2 * time.Second,
		Ratio: &analysis.Ratio{Total: "a", Bad: "b", Comparison: analysis.Comparison{Objective: 0.01}}}}}
	ramp := Ramp(5, 50, 10, 30*time.Minute)
	one := func(name string, tr Traffic, iv time.Duration, runs int) {
		if tr.Canary == 0 {
			tr.Canary = tr.Baseline
		}
		sc := Scenario{Name: name, Traffic: tr, Steps: ramp, Past: 30 * time.Minute, Interval: iv}
		t0 := time.Now()
		s := Summarise(sc, Run(spec, sc, runs))
		t.Logf("%-28s failed %.4f [%.4f %.4f] median %v p95 %v beforeHalf %.3f reqs %.0f (%v)", name, s.Rate, s.Low, s.High, s.Median, s.P95, s.BeforeHalf, s.CanaryFailed, time.Since(t0).Round(time.Millisecond))
	}
	const n = 500
	w := 2 * time.Second
	one("null 100", Traffic{RequestsPerSecond: 100, Baseline: .001}, w, n)
	one("null 100 1%", Traffic{RequestsPerSecond: 100, Baseline: .01}, w, n)
	one("null 100 5%", Traffic{RequestsPerSecond: 100, Baseline: .05}, w, n)
	one("null 10 ", Traffic{RequestsPerSecond: 10, Baseline: .001}, w, n)
	one("null 1 1%", Traffic{RequestsPerSecond: 1, Baseline: .01}, w, n)
	for _, r := range []float64{1, 10, 100, 1000} {
		one("burst10 .1% "+time.Duration(r).String(), Traffic{RequestsPerSecond: r, Baseline: .001, Burst: 10}, w, n)
		one("burst10 1% "+time.Duration(r).String(), Traffic{RequestsPerSecond: r, Baseline: .01, Burst: 10}, w, n)
	}
	for _, r := range []float64{1, 10, 100, 1000} {
		one("incident "+time.Duration(r).String(), Traffic{RequestsPerSecond: r, Baseline: .001, Incidents: 6, IncidentLength: 30 * time.Second, IncidentRate: .1}, w, n)
		one("incident short "+time.Duration(r).String(), Traffic{RequestsPerSecond: r, Baseline: .001, Incidents: 20, IncidentLength: 5 * time.Second, IncidentRate: .3}, w, n)
	}
	one("0.1->5 100", Traffic{RequestsPerSecond: 100, Baseline: .001, Canary: .05}, w, n)
	one("0.1->0.5 100", Traffic{RequestsPerSecond: 100, Baseline: .001, Canary: .005}, w, n)
	one("0.1->5 1rps", Traffic{RequestsPerSecond: 1, Baseline: .001, Canary: .05}, w, n)
	one("0.1->1 1rps", Traffic{RequestsPerSecond: 1, Baseline: .001, Canary: .01}, w, n)
	one("late 20% 50rps", Traffic{RequestsPerSecond: 50, Baseline: .001, Canary: .2, BadFrom: 520 * time.Second}, w, n)
	one("late 20% 50rps, 1% base", Traffic{RequestsPerSecond: 50, Baseline: .01, Canary: .2, BadFrom: 520 * time.Second}, w, n)
	one("10% 50rps", Traffic{RequestsPerSecond: 50, Baseline: 0, Canary: .1}, w, n)
	one("0.1->5 100 bursts", Traffic{RequestsPerSecond: 100, Baseline: .001, Canary: .05, Burst: 10}, w, n)
}
