package analysis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// A canary that turns bad late must not pass any look from then on, also while
// what one window may prove is not enough to fail it.
func TestNoPassOnceAllFails(t *testing.T) {
	for _, scrape := range []time.Duration{2 * time.Second, 15 * time.Second, time.Minute} {
		spec := ratioSpec(0.01)
		spec.Checks[0].Interval = scrape
		state, bad := analysis.NewState(began), 0
		var v analysis.Verdict
		for at := began; v.Outcome != analysis.Fail && bad < 20; at = at.Add(scrape) {
			o := counts(0, 90*scrape.Seconds(), 0, 10*scrape.Seconds(), 0)
			o.Window = analysis.Window{Start: at, End: at.Add(scrape)}
			if at.Sub(began) >= 20*time.Minute {
				bad++
				o.Canary.Failed = o.Canary.Total
			}
			state, v = analysis.Judge(spec, state, []analysis.Observation{o}, o.Window.End)
			if bad > 0 && v.Outcome == analysis.Pass {
				t.Errorf("scraped every %s: window %d in which all fails passes: %s", scrape, bad, v.Message)
			}
		}
		if v.Outcome != analysis.Fail {
			t.Errorf("scraped every %s: %+v after %d bad windows, want Fail", scrape, v, bad)
		}
	}
}

// A burst in one window holds the canary there, and is named afterwards.
func TestBurstHolds(t *testing.T) {
	looks := repeat(30, func(k int) analysis.Observation {
		if k == 20 {
			return counts(k, 5_000_000, 1, 4000, 700)
		}
		return counts(k, 950, 1, 50, 0)
	})
	state, v := run(ratioSpec(0.01), looks[:21]...)
	if v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonSuspicious || !strings.Contains(v.Message, "lately canary 700 of 4,000") {
		t.Errorf("in the burst: %s %s %q, want a suspicion with its figures", v.Outcome, v.Reason, v.Message)
	}
	// A window without a request of the canary settles nothing.
	if _, v = analysis.Judge(ratioSpec(0.01), state, []analysis.Observation{counts(21, 900, 0, 0, 0)}, window(21).End); v.Outcome == analysis.Pass {
		t.Errorf("after an empty window: %+v, want a hold", v)
	}
	if _, v = run(ratioSpec(0.01), looks...); v.Outcome != analysis.Pass || strings.Contains(v.Message, "no evidence") || v.Proven {
		t.Errorf("after the burst: %s, proven %v: %q; want a pass that says the canary is worse in all", v.Outcome, v.Proven, v.Message)
	}
}

// One burst on stable is no proof that the canary is good.
func TestBurstOnStableProvesNothing(t *testing.T) {
	_, v := run(ratioSpec(0), repeat(12, func(k int) analysis.Observation {
		if k == 11 {
			return counts(k, 190, 20, 10, 0)
		}
		return counts(k, 190, 0, 10, 0)
	})...)
	if v.Outcome != analysis.Pass || v.Proven {
		t.Errorf("%s, proven %v: %s; want a pass without proof", v.Outcome, v.Proven, v.Message)
	}
}

// Where no data passes, doubts stay doubts.
func TestNoDataLiftsNoSuspicion(t *testing.T) {
	spec := ratioSpec(0)
	spec.Checks[0].NoDataPasses = true
	looks := repeat(19, func(k int) analysis.Observation {
		if k >= 17 {
			return counts(k, 200, 0, 10, 1)
		}
		return counts(k, 200, 0, 10, 0)
	})
	if _, v := run(spec, looks...); v.Reason != analysis.ReasonSuspicious {
		t.Fatalf("%s: %s; want a suspicion", v.Reason, v.Message)
	}
	if _, v := run(spec, append(looks, absent(20, analysis.NoSeries))...); v.Outcome != analysis.Inconclusive {
		t.Errorf("%s: %s; want a hold", v.Outcome, v.Message)
	}
}

// Proof is of a statistical check that decides.
func TestWhatProves(t *testing.T) {
	ratio := ratioSpec(0.01).Checks[0]
	dry := ratio
	dry.DryRun = true
	probe := analysis.Check{Name: "probe", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80}}
	good := counts(0, 9000, 0, 1000, 0)
	next := counts(1, 9000, 0, 1000, 0)
	answer := analysis.Observation{Check: "probe", Window: analysis.Window{Start: window(1).End, End: window(1).End}, Probes: []analysis.ProbeResult{{Pod: "a", Pass: true}}}
	for _, tc := range []struct {
		name   string
		checks []analysis.Check
		want   bool
	}{
		{"a ratio check", []analysis.Check{ratio}, true},
		{"a ratio check and a probe", []analysis.Check{ratio, probe}, true},
		{"a ratio check that does not decide and a probe", []analysis.Check{dry, probe}, false},
		{"a probe", []analysis.Check{probe}, false},
		{"nothing", nil, false},
	} {
		_, v := analysis.Judge(analysis.Spec{Checks: tc.checks}, analysis.NewState(began), []analysis.Observation{good, next, answer}, window(1).End)
		if v.Outcome != analysis.Pass || v.Proven != tc.want {
			t.Errorf("%s: %s, proven %v; want a pass, proven %v", tc.name, v.Outcome, v.Proven, tc.want)
		}
	}
}

// What was seen at the weight before is no proof at this one.
func TestProofIsOfTheStep(t *testing.T) {
	spec := ratioSpec(0.01)
	for name, tc := range map[string]struct {
		step time.Duration
		want analysis.Outcome
	}{
		"at its begin":       {0, analysis.Pass},
		"in the midst of it": {time.Second, analysis.Inconclusive},
		"at its end":         {step, analysis.Inconclusive},
	} {
		state := analysis.BeginStep(analysis.NewState(began), began.Add(tc.step))
		_, v := analysis.Judge(spec, state, []analysis.Observation{counts(0, 9000, 5, 1000, 0)}, window(0).End)
		if v.Outcome != tc.want || v.Proven && tc.want != analysis.Pass {
			t.Errorf("step begins %s: %s, proven %v; want %s", name, v.Outcome, v.Proven, tc.want)
		}
	}
}
