package analysis_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const step = 2 * time.Second

// look k covers the k-th window of two seconds.
func window(k int) analysis.Window {
	return analysis.Window{Start: began.Add(time.Duration(k) * step), End: began.Add(time.Duration(k+1) * step)}
}

func counts(k int, stableTotal, stableFailed, canaryTotal, canaryFailed float64) analysis.Observation {
	return analysis.Observation{Check: "errors", Window: window(k),
		Stable: &analysis.Counts{Total: stableTotal, Failed: stableFailed},
		Canary: &analysis.Counts{Total: canaryTotal, Failed: canaryFailed}}
}

func absent(k int, kind analysis.AbsenceKind) analysis.Observation {
	return analysis.Observation{Check: "errors", Window: window(k), Absence: &analysis.Absence{Kind: kind, Message: "test"}}
}

func ratioSpec(objective float64) analysis.Spec {
	return analysis.Spec{Checks: []analysis.Check{{Name: "errors", Kind: analysis.KindRatio, Interval: step,
		Ratio: &analysis.Ratio{Total: "a", Bad: "b", Comparison: analysis.Comparison{Objective: objective}}}}}
}

// run judges observations one look at a time and gives the last verdict.
func run(spec analysis.Spec, observations ...analysis.Observation) (analysis.State, analysis.Verdict) {
	state := analysis.NewState(began)
	var verdict analysis.Verdict
	for _, o := range observations {
		state, verdict = analysis.Judge(spec, state, []analysis.Observation{o}, o.Window.End)
	}
	return state, verdict
}

func repeat(n int, o func(k int) analysis.Observation) []analysis.Observation {
	all := make([]analysis.Observation, n)
	for k := range all {
		all[k] = o(k)
	}
	return all
}

func TestRatioVerdicts(t *testing.T) {
	for _, tc := range []struct {
		name      string
		objective float64
		looks     []analysis.Observation
		outcome   analysis.Outcome
		reason    analysis.Reason
		text      string
	}{
		{name: "healthy", looks: repeat(50, func(k int) analysis.Observation { return counts(k, 100, 1, 10, 0) }),
			outcome: analysis.Pass, reason: analysis.ReasonHealthy, text: "canary 0 of 500 requests failed (0%), stable 50 of 5,000 (1.0%)"},
		{name: "worse", looks: repeat(20, func(k int) analysis.Observation { return counts(k, 190, 0, 10, 1) }),
			outcome: analysis.Fail, reason: analysis.ReasonWorseThanStable, text: "worse with 1 in "},
		{name: "both equally bad", looks: repeat(50, func(k int) analysis.Observation { return counts(k, 90, 45, 10, 5) }),
			objective: 0.01, outcome: analysis.Pass, reason: analysis.ReasonHealthy, text: "canary 250 of 500"},
		{name: "over its objective without stable traffic", looks: repeat(30, func(k int) analysis.Observation { return counts(k, 0, 0, 5, 1) }),
			objective: 0.01, outcome: analysis.Fail, reason: analysis.ReasonOverObjective, text: "over the objective of 1.0%"},
		{name: "too few", looks: repeat(1, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) }),
			outcome: analysis.Inconclusive, reason: analysis.ReasonTooFewRequests, text: "10 requests in this step, 20 are needed"},
		{name: "bad after many good looks", looks: repeat(280, func(k int) analysis.Observation {
			if k < 270 {
				return counts(k, 50, 0, 50, 0)
			}
			return counts(k, 50, 0, 50, 10)
		}), outcome: analysis.Fail, reason: analysis.ReasonWorseThanStable, text: "lately canary"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, v := run(ratioSpec(tc.objective), tc.looks...)
			if v.Outcome != tc.outcome || v.Reason != tc.reason || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", v.Outcome, v.Reason, v.Message, tc.outcome, tc.reason, tc.text)
			}
		})
	}
}

// TestAbsence wants that missing data neither fails nor passes, that an
// outage freezes, and that its end thaws.
func TestAbsence(t *testing.T) {
	good := repeat(10, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) })
	for _, tc := range []struct {
		kind   analysis.AbsenceKind
		reason analysis.Reason
		freeze bool
		person bool
	}{
		{analysis.NoData, analysis.ReasonNoData, false, false},
		{analysis.NoSeries, analysis.ReasonNoSeries, false, false},
		{analysis.Partial, analysis.ReasonPartialData, false, false},
		{analysis.Outage, analysis.ReasonSourceOutage, true, false},
		{analysis.BadQuery, analysis.ReasonBadQuery, false, true},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			spec := ratioSpec(0.01)
			state, v := run(spec, append(good[:10:10], absent(10, tc.kind))...)
			if v.Outcome != analysis.Inconclusive || v.Reason != tc.reason || v.Freeze != tc.freeze || v.NeedsPerson != tc.person || v.Proven {
				t.Errorf("got %+v; want Inconclusive %s, freeze %v, person %v", v, tc.reason, tc.freeze, tc.person)
			}
			_, v = analysis.Judge(spec, state, []analysis.Observation{counts(11, 90, 0, 10, 0)}, window(11).End)
			if v.Outcome != analysis.Pass || v.Freeze {
				t.Errorf("after its end: got %+v, want Pass", v)
			}
			spec.Checks[0].NoDataPasses = true
			_, v = run(spec, append(good[:10:10], absent(10, tc.kind))...)
			passes := tc.kind == analysis.NoData || tc.kind == analysis.NoSeries
			if (v.Outcome == analysis.Pass) != passes {
				t.Errorf("with NoDataPasses: got %s", v.Outcome)
			}
		})
	}
}

// Pods that were just started have not been scraped: nobody has to look at a
// selector for that.
func TestFirstSamplesAreWaitedFor(t *testing.T) {
	const hint = "check the selector, the tenant in the source's headers if it has tenants, and that the pods are scraped"
	for _, tc := range []struct {
		name     string
		interval time.Duration
		age      time.Duration
		hint     bool
	}{
		{"at its begin", 2 * time.Second, 2 * time.Second, false},
		{"after one usual scrape", 2 * time.Second, 28 * time.Second, false},
		{"after two", 2 * time.Second, 30 * time.Second, true},
		{"after one slow look", time.Minute, time.Minute, false},
		{"after two slow looks", time.Minute, 2 * time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := ratioSpec(0.01)
			spec.Checks[0].Interval = tc.interval
			now := began.Add(tc.age)
			absence := analysis.Observation{Check: "errors", Window: analysis.Window{Start: began, End: now}, Absence: &analysis.Absence{Kind: analysis.NoSeries, Message: "none"}}
			state, v := analysis.Judge(spec, analysis.NewState(began), []analysis.Observation{absence}, now)
			if v.Reason != analysis.ReasonNoSeries || strings.Contains(v.Message, hint) != tc.hint {
				t.Errorf("%s %q; want %s, with the hint %t", v.Reason, v.Message, analysis.ReasonNoSeries, tc.hint)
			}
			if _, v = analysis.Judge(spec, analysis.BeginStep(state, now), nil, now); strings.Contains(v.Message, hint) {
				t.Errorf("a new step begins: %q", v.Message)
			}
		})
	}
}

func TestOutageLimit(t *testing.T) {
	spec := ratioSpec(0)
	spec.SourceLimit = time.Minute
	state, v := run(spec, absent(0, analysis.Outage), absent(5, analysis.Outage))
	if !v.Freeze || v.NeedsPerson {
		t.Errorf("after 10 s: %+v, want a freeze and no person", v)
	}
	_, v = analysis.Judge(spec, state, nil, began.Add(2*time.Minute))
	if v.Reason != analysis.ReasonSourceLimit || !v.NeedsPerson || v.Outcome != analysis.Inconclusive {
		t.Errorf("after 2 minutes: %+v, want a person asked", v)
	}
}

// TestStaleLooks wants that old data does not carry a pass.
func TestStaleLooks(t *testing.T) {
	spec := ratioSpec(0)
	state, v := run(spec, repeat(10, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) })...)
	if v.Outcome != analysis.Pass {
		t.Fatalf("got %+v, want Pass", v)
	}
	_, v = analysis.Judge(spec, state, nil, began.Add(10*time.Minute))
	if v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonNoData {
		t.Errorf("ten minutes later: %+v, want NoData", v)
	}
}

// TestFreshness wants a pass only on data as young as the scrapes let it be.
func TestFreshness(t *testing.T) {
	spec := ratioSpec(0)
	healthy := repeat(20, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) })
	state, v := run(spec, healthy...)
	last := healthy[19].Window
	step := last.End.Sub(last.Start)
	if v.Outcome != analysis.Pass {
		t.Fatalf("got %+v, want Pass", v)
	}
	accepted := 2*step + spec.Checks[0].Interval + 10*time.Second
	for age, want := range map[time.Duration]analysis.Outcome{accepted: analysis.Pass, accepted + time.Second: analysis.Inconclusive} {
		if _, v = analysis.Judge(spec, state, nil, last.End.Add(age)); v.Outcome != want {
			t.Errorf("on data %s old: %+v, want %s", age, v, want)
		}
	}
}

// TestCountersThatStandStill wants no pass where a canary that was asked ten
// times in a window is suddenly not asked at all.
func TestCountersThatStandStill(t *testing.T) {
	spec := ratioSpec(0)
	looks := repeat(40, func(k int) analysis.Observation {
		if k >= 30 {
			return counts(k, 100, 0, 0, 0)
		}
		return counts(k, 90, 0, 10, 0)
	})
	if _, v := run(spec, looks...); v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonNoData {
		t.Errorf("got %+v, want NoData", v)
	}
	spec.Checks[0].NoDataPasses = true
	if _, v := run(spec, looks...); v.Outcome != analysis.Pass {
		t.Errorf("accepted by the check: got %+v, want Pass", v)
	}
}

// TestLateWindowsAreOfTheStepBefore wants what was counted late to stay out of
// what the present step needs.
func TestLateWindowsAreOfTheStepBefore(t *testing.T) {
	spec := ratioSpec(0.01)
	state := analysis.BeginStep(analysis.NewState(began), window(100).Start)
	late := repeat(100, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) })
	state, v := analysis.Judge(spec, state, late, window(100).Start)
	if v.Proven || v.Reason != analysis.ReasonTooFewRequests {
		t.Errorf("1,000 good requests from before the step: %+v, want too few requests", v)
	}
	if got := state.Checks[0].Ratio.Canary.Total; got != 1000 {
		t.Errorf("%g requests count against the canary, want 1000", got)
	}
}

// randomLooks is a trial with a random canary and holes in its data.
func randomLooks(rng *rand.Rand, n int) []analysis.Observation {
	kinds := []analysis.AbsenceKind{analysis.NoData, analysis.Outage, analysis.Partial}
	bad := rng.Float64() * 0.2
	return repeat(n, func(k int) analysis.Observation {
		switch rng.IntN(8) {
		case 0:
			return absent(k, kinds[rng.IntN(len(kinds))])
		case 1:
			return counts(k, math.NaN(), 0, 1, 0)
		case 2:
			return counts(k, 0, 0, 0, 0)
		}
		failed := 0.0
		for range 10 {
			if rng.Float64() < bad {
				failed++
			}
		}
		return counts(k, 50, float64(rng.IntN(2)), 10, failed)
	})
}

// TestProperties checks, over random trials: repeating or shuffling what was
// counted changes nothing; an empty window adds no evidence; JSON loses no
// bit; everything kept is finite and bounded.
func TestProperties(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		spec := ratioSpec(0.01)
		looks := randomLooks(rng, 40)
		oneByOne, v := run(spec, looks...)
		now := looks[len(looks)-1].Window.End

		again, v2 := analysis.Judge(spec, oneByOne, looks, now)
		for i := range again.Checks {
			again.Checks[i].Rejected = oneByOne.Checks[i].Rejected
		}
		same(t, seed, "repeated", []any{oneByOne, v}, []any{again, v2})

		shuffled := append([]analysis.Observation(nil), looks...)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		atOnce, _ := analysis.Judge(spec, analysis.NewState(began), shuffled, now)
		same(t, seed, "shuffled", oneByOne.Checks[0].Ratio, atOnce.Checks[0].Ratio)

		state, err := roundTrip(oneByOne)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		more := counts(len(looks), 50, 0, 10, 1)
		s1, v1 := analysis.Judge(spec, oneByOne, []analysis.Observation{more}, more.Window.End)
		s2, v2 := analysis.Judge(spec, state, []analysis.Observation{more}, more.Window.End)
		same(t, seed, "after JSON", []any{s1, v1}, []any{s2, v2})
	}
}

func same(t *testing.T, seed uint64, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("seed %d, %s (-want +got):\n%s", seed, what, diff)
	}
}

func roundTrip(s analysis.State) (analysis.State, error) {
	var back analysis.State
	encoded, err := json.Marshal(s)
	if err != nil {
		return back, fmt.Errorf("encode: %w", err)
	}
	return back, json.Unmarshal(encoded, &back)
}

func TestEmptyWindowAddsNothing(t *testing.T) {
	spec := ratioSpec(0.01)
	state, v := run(spec, repeat(8, func(k int) analysis.Observation { return counts(k, 90, 0, 10, float64(k%4/3)) })...)
	next, v2 := analysis.Judge(spec, state, []analysis.Observation{counts(8, 0, 0, 0, 0)}, window(8).End)
	if diff := cmp.Diff(state.Checks[0].Ratio, next.Checks[0].Ratio); diff != "" || v.Checks[0].Evidence != v2.Checks[0].Evidence {
		t.Errorf("an empty window changed the evidence (-want +got):\n%s", diff)
	}
}

// TestFaultsDecideNothing throws every kind of broken answer at the judge and
// wants neither a failure nor a pass out of them.
func TestFaultsDecideNothing(t *testing.T) {
	kinds := []analysis.AbsenceKind{analysis.NoData, analysis.NoSeries, analysis.Outage, analysis.Partial, analysis.BadQuery}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		looks := repeat(60, func(k int) analysis.Observation {
			switch rng.IntN(5) {
			case 0:
				return counts(k, math.NaN(), math.NaN(), 10, 10)
			case 1:
				return counts(k, 10, 20, 10, 10)
			case 2:
				return counts(k, -5, 0, math.Inf(1), 7)
			case 3:
				return counts(rng.IntN(k+1), 0, 0, 0, 0)
			}
			return absent(k, kinds[rng.IntN(len(kinds))])
		})
		state := analysis.NewState(began)
		for _, o := range looks {
			var v analysis.Verdict
			state, v = analysis.Judge(ratioSpec(0.01), state, []analysis.Observation{o}, o.Window.End)
			if v.Outcome != analysis.Inconclusive {
				t.Fatalf("seed %d: verdict %+v without any data", seed, v)
			}
		}
	}
}

func TestStateStaysSmall(t *testing.T) {
	state, _ := run(ratioSpec(0.01), repeat(5000, func(k int) analysis.Observation { return counts(k, 90.5, 1, 10, 0) })...)
	encoded, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > 128<<10 {
		t.Errorf("after 5,000 looks the state takes %d bytes, want at most 128 KiB", len(encoded))
	}
}

func TestProof(t *testing.T) {
	spec := ratioSpec(0.01)
	// About 3/p0 requests without a failure prove an objective of p0 at 5%; the
	// mixture of alternatives and the halved beta cost a few more.
	looks := repeat(80, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 0) })
	state, v := run(spec, looks...)
	if !v.Proven {
		t.Fatalf("800 good requests do not prove an objective of 1%%: %+v", v)
	}
	if _, v = run(spec, looks[:20]...); v.Proven {
		t.Errorf("200 good requests prove an objective of 1%%: %+v", v)
	}
	state = analysis.BeginStep(state, window(80).Start)
	if _, v = analysis.Judge(spec, state, []analysis.Observation{counts(80, 90, 0, 30, 0)}, window(80).End); v.Proven {
		t.Errorf("a new step is proven by the one before: %+v", v)
	}
}

func TestInitialDelayAndDryRun(t *testing.T) {
	spec := ratioSpec(0)
	spec.Checks[0].InitialDelay = 30 * time.Second
	bad := repeat(14, func(k int) analysis.Observation { return counts(k, 90, 0, 10, 10) })
	if _, v := run(spec, bad...); v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonInitialDelay {
		t.Errorf("within the initial delay: %+v", v)
	}
	spec = ratioSpec(0)
	spec.Checks[0].DryRun = true
	_, v := run(spec, bad...)
	if v.Outcome != analysis.Pass || v.Checks[0].Outcome != analysis.Fail {
		t.Errorf("a dry run decides: %+v", v)
	}
}

func TestAlphaIsSplit(t *testing.T) {
	spec := ratioSpec(0)
	spec.Checks = append(spec.Checks, analysis.Check{Name: "slow", Kind: analysis.KindLatency, Weight: 3,
		Latency: &analysis.Latency{Histogram: "h", Bound: 1}})
	slow := counts(0, 90, 0, 30, 0)
	slow.Check = "slow"
	_, v := analysis.Judge(spec, analysis.NewState(began), []analysis.Observation{counts(0, 90, 0, 30, 0), slow}, window(0).End)
	alpha := 1/v.Checks[0].Limit + 1/v.Checks[1].Limit
	if math.Abs(alpha-analysis.DefaultAlpha) > 1e-12 || math.Abs(v.Checks[0].Limit-3*v.Checks[1].Limit) > 1e-6 {
		t.Errorf("limits %g and %g spend alpha %g, want %g as 1 to 3", v.Checks[0].Limit, v.Checks[1].Limit, alpha, analysis.DefaultAlpha)
	}
}

// TestDispersion wants the factor to follow bursts of stable, and the canary's
// own failures to leave it alone.
func TestDispersion(t *testing.T) {
	independent, bursty := []analysis.Counts{}, []analysis.Counts{}
	for k := range 400 {
		independent = append(independent, analysis.Counts{Total: 200, Failed: float64(k % 3)})
		burst := 0.0
		if k%40 == 0 {
			burst = 20
		}
		bursty = append(bursty, analysis.Counts{Total: 200, Failed: burst})
	}
	factor := func(past []analysis.Counts) float64 {
		return analysis.Learn(analysis.NewState(began), "errors", past).Checks[0].Ratio.Dispersion.Factor()
	}
	if f := factor(independent); f > 1.2 {
		t.Errorf("independent failures give factor %.2f, want about 1", f)
	}
	if f := factor(bursty); f < 15 || f > 25 {
		t.Errorf("bursts of 20 give factor %.2f, want about 20", f)
	}
	state, _ := run(ratioSpec(0), repeat(300, func(k int) analysis.Observation { return counts(k, 200, 0, 200, float64(k/290)*50) })...)
	if f := state.Checks[0].Ratio.Dispersion.Factor(); f != 1 {
		t.Errorf("the canary's failures moved the factor to %.2f", f)
	}
}

func TestProbesAndThresholds(t *testing.T) {
	top := 5.0
	value := func(k int, v float64) analysis.Observation {
		return analysis.Observation{Check: "c", Window: analysis.Window{Start: window(k).End, End: window(k).End}, Value: &v}
	}
	probes := func(k int, pass ...bool) analysis.Observation {
		o := analysis.Observation{Check: "c", Window: analysis.Window{Start: window(k).End, End: window(k).End}}
		for i, p := range pass {
			o.Probes = append(o.Probes, analysis.ProbeResult{Pod: fmt.Sprintf("pod-%d", i), Pass: p, Message: "status"})
		}
		return o
	}
	threshold := analysis.Check{Name: "c", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "q", Max: &top}}
	http := analysis.Check{Name: "c", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80}}
	for _, tc := range []struct {
		name  string
		check analysis.Check
		looks []analysis.Observation
		want  analysis.Outcome
		text  string
	}{
		{"in bounds", threshold, []analysis.Observation{value(0, 5)}, analysis.Pass, "within bounds"},
		{"not a number", threshold, []analysis.Observation{value(0, math.NaN())}, analysis.Inconclusive, "no finite number"},
		{"infinite", threshold, []analysis.Observation{value(0, math.Inf(1))}, analysis.Inconclusive, "no finite number"},
		{"two of five", threshold, []analysis.Observation{value(0, 9), value(1, 9), value(2, 1)}, analysis.Pass, ""},
		{"three of five", threshold, []analysis.Observation{value(0, 9), value(1, 1), value(2, 9), value(3, 9)}, analysis.Fail, "3 of the last 4 looks"},
		{"old failures are forgotten", threshold, []analysis.Observation{value(0, 9), value(1, 9), value(2, 1), value(3, 1), value(4, 1), value(5, 9), value(6, 1)}, analysis.Pass, ""},
		{"one pod once", http, []analysis.Observation{probes(0, true, false)}, analysis.Inconclusive, "pod-1: status"},
		{"every pod twice", http, []analysis.Observation{probes(0, false, false), probes(1, false, false)}, analysis.Fail, "every canary pod failed twice"},
		{"one pod thrice", http, []analysis.Observation{probes(0, true, false), probes(1, true, false), probes(2, true, false)}, analysis.Fail, "3 of the last 3"},
		{"no pods", http, []analysis.Observation{probes(0)}, analysis.Inconclusive, "no canary pod"},
		{"recovered", http, []analysis.Observation{probes(0, true, false), probes(1, true, true)}, analysis.Pass, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state, v := run(analysis.Spec{Checks: []analysis.Check{tc.check}}, tc.looks...)
			if v.Outcome != tc.want || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s %q, want %s with %q", v.Outcome, v.Message, tc.want, tc.text)
			}
			if _, err := roundTrip(state); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFailureDecides wants a failing check to outweigh a frozen one, and to
// stay failed whatever comes after.
func TestFailureDecides(t *testing.T) {
	spec := ratioSpec(0)
	spec.Checks = append(spec.Checks, analysis.Check{Name: "pods", Kind: analysis.KindWorkload, Workload: &analysis.Workload{}})
	crashed := analysis.Observation{Check: "pods", Window: window(1), Pods: []analysis.PodState{{Name: "a", Phase: "Running", Scheduled: true,
		Containers: []analysis.ContainerState{{Name: "main", Restarts: 1, Terminated: "Error", ExitCode: 2}}}}}
	state, v := analysis.Judge(spec, analysis.NewState(began), []analysis.Observation{absent(1, analysis.Outage), crashed}, window(1).End)
	if v.Outcome != analysis.Fail || v.Reason != analysis.ReasonCrashed {
		t.Fatalf("got %+v, want Fail Crashed", v)
	}
	well := analysis.Observation{Check: "pods", Window: window(2), Pods: []analysis.PodState{{Name: "b", Phase: "Running", Scheduled: true, ContainersReady: true}}}
	if _, v = analysis.Judge(spec, state, []analysis.Observation{well}, window(2).End); v.Outcome != analysis.Fail {
		t.Errorf("a failed canary recovered: %+v", v)
	}
}
