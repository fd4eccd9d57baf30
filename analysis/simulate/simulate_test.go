package simulate_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/simulate"
)

// TestSerialSuite runs a reduced suite; `make bench` runs it in full. The seeds are
// fixed, so it gives the same figures every time.
func TestSerialSuite(t *testing.T) {
	var rows []simulate.Row
	for _, c := range simulate.Suite() {
		runs := 60
		if c.Measure == simulate.FalseRollbacks {
			// A good canary is looked at to the end of its ramp.
			runs = 15
		}
		row, err := simulate.RunCase(t.Context(), simulate.Sequential(simulate.DefaultSpec()), c, runs)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	for _, r := range rows {
		// So few runs only show a rate that is far over its limit.
		if r.Reached() || r.Case.Measure == simulate.FalseRollbacks && r.Summary.Failed <= 2 {
			continue
		}
		value, _, _ := r.Value()
		t.Errorf("%s: %s is %g, limit %g", r.Case.Name, r.Case.Measure, value, r.Case.Limit)
	}
	var out bytes.Buffer
	if err := simulate.WriteTable(&out, rows); err != nil || strings.Count(out.String(), "\n") != len(rows)+1 {
		t.Errorf("the table is incomplete: %v\n%s", err, out.String())
	}
	t.Log("\n" + out.String())
}

func scenario(traffic simulate.Traffic) simulate.Scenario {
	return simulate.Scenario{Traffic: traffic, Steps: simulate.Ramp(5, 50, 10, 30*time.Minute), Interval: 10 * time.Second}
}

func run(t *testing.T, judge simulate.NewJudge, sc simulate.Scenario, runs int) []simulate.Result {
	t.Helper()
	results, err := simulate.Run(t.Context(), judge, sc, runs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestSeedsReproduce(t *testing.T) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 20, Baseline: 0.01, Canary: 0.05, Burst: 3, Incidents: 4, IncidentLength: time.Minute, IncidentRate: 0.1})
	judge := simulate.Sequential(simulate.DefaultSpec())
	if diff := cmp.Diff(run(t, judge, sc, 20), run(t, judge, sc, 20)); diff != "" {
		t.Errorf("two runs with the same seeds differ:\n%s", diff)
	}
}

// TestPlainRuleIsWorse shows what the sequential test is for.
func TestPlainRuleIsWorse(t *testing.T) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 10, Baseline: 0.005, Canary: 0.005})
	plain := simulate.Summarise(sc, run(t, simulate.PlainRule{Success: 0.99, Span: time.Minute, Failures: 1}.Judge(), sc, 100))
	ours := simulate.Summarise(sc, run(t, simulate.Sequential(simulate.DefaultSpec()), sc, 100))
	if plain.Rate < 0.4 || ours.Rate > 0.05 {
		t.Errorf("good canaries rolled back: plain rule %.2f (expected over 0.4), judge %.2f (expected under 0.05)", plain.Rate, ours.Rate)
	}
}

func TestUntilEvidence(t *testing.T) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 200, Baseline: 0.0005, Canary: 0.0005})
	for i := range sc.Steps {
		sc.Steps[i].UntilEvidence = true
	}
	s := simulate.Summarise(sc, run(t, simulate.Sequential(simulate.DefaultSpec()), sc, 50))
	if s.Failed > 0 || s.Promoted == 0 || s.Promoted > 15*time.Minute {
		t.Errorf("with proof at hand the ramp of 30 minutes took %s, %d rolled back; want at most 15 minutes and none", s.Promoted, s.Failed)
	}
}

// TestInterrupted ends what would last for hours, and gives nothing of it.
func TestInterrupted(t *testing.T) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.001})
	for name, scrapes := range map[string]simulate.Scrapes{"counted": {}, "scraped": {Every: 15 * time.Second, Random: true}} {
		t.Run(name, func(t *testing.T) {
			sc.Scrapes = scrapes
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := 0
			results, err := simulate.Run(ctx, simulate.Sequential(simulate.DefaultSpec()), sc, 1_000_000, func() {
				if ended++; ended == 3 {
					cancel()
				}
			})
			// One may be about to end on each processor.
			if !errors.Is(err, context.Canceled) || results != nil || ended > 3+runtime.GOMAXPROCS(0) {
				t.Errorf("%d results, error %v, %d rollouts ended; want none, the context's error and 3", len(results), err, ended)
			}
		})
	}
	// One rollout of very long duration ends within itself too.
	ctx, cancel := context.WithCancel(t.Context())
	sc.Steps, sc.Scrapes = []simulate.Step{{Weight: 5, For: 1e6 * time.Hour}}, simulate.Scrapes{}
	looks := 0
	_, err := simulate.Once(ctx, func([]analysis.Counts) simulate.Judge {
		return looking(func() {
			if looks++; looks == 10 {
				cancel()
			}
		})
	}, sc, 1)
	if !errors.Is(err, context.Canceled) || looks != 10 {
		t.Errorf("error %v after %d looks; want the context's after 10", err, looks)
	}
}

// looking is a judge that finds nothing.
type looking func()

func (l looking) Look(analysis.Observation) (failed, proven bool) {
	l()
	return false, false
}

func (looking) BeginStep(time.Time) {}

// TestPlainRuleHasNoEvidence lets a rule of its own steps promote a good canary
// where the judge goes on by evidence, and counts how far the comparison is.
func TestPlainRuleHasNoEvidence(t *testing.T) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 200, Baseline: 0.0005})
	sc.Steps = []simulate.Step{
		{Weight: 5, For: 4 * time.Minute}, {Weight: 20, UntilEvidence: true, HoldOnTimeout: true}, {Weight: 50, For: 10 * time.Minute, UntilEvidence: true, HoldOnTimeout: true},
	}
	sc.Deadline = 2 * time.Hour
	judges := []simulate.Contender{
		{Name: "serin", Judge: simulate.Sequential(simulate.DefaultSpec())},
		{Name: "plain", Judge: simulate.PlainRule{Success: 0.99, Span: time.Minute}.Judge(), Steps: simulate.Timed(sc.Steps, 5*time.Minute, 0)},
		{Name: "quick", Judge: simulate.PlainRule{Success: 0.99, Span: time.Minute}.Judge(), Steps: simulate.Timed(sc.Steps, 5*time.Minute, time.Minute)},
	}
	var far []simulate.Done
	contests, err := simulate.Compare(t.Context(), judges, sc, nil, 5, func(d simulate.Done) { far = append(far, d) })
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{0, 19 * time.Minute, 6 * time.Minute} {
		s := contests[i].Summary
		if s.Failed+s.Expired > 0 || want > 0 && s.Promoted != want {
			t.Errorf("%s: %d rolled back, %d undecided, promoted in %s of 5; want all promoted, in %s", contests[i].Judge, s.Failed, s.Expired, s.Promoted, want)
		}
	}
	if len(far) != 15 || far[0] != (simulate.Done{Rollouts: 1, AllRollouts: 15, AllLines: 3}) || far[14] != (simulate.Done{Rollouts: 15, AllRollouts: 15, Lines: 3, AllLines: 3}) {
		t.Errorf("told of %+v; want each of 15 rollouts on 3 lines", far)
	}
}

func TestWilson(t *testing.T) {
	for _, tc := range []struct {
		hits, n   int
		low, high float64
	}{{0, 100, 0, 0.0370}, {50, 100, 0.4038, 0.5962}, {100, 100, 0.9630, 1}, {0, 0, 0, 1}} {
		low, high := simulate.Wilson(tc.hits, tc.n)
		if math.Abs(low-tc.low) > 1e-4 || math.Abs(high-tc.high) > 1e-4 {
			t.Errorf("Wilson(%d, %d) = %.4f, %.4f; want %.4f, %.4f", tc.hits, tc.n, low, high, tc.low, tc.high)
		}
	}
}

func BenchmarkRollout(b *testing.B) {
	sc := scenario(simulate.Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.001})
	judge := simulate.Sequential(simulate.DefaultSpec())
	for i := range b.N {
		if _, err := simulate.Once(b.Context(), judge, sc, uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerdict(b *testing.B) {
	spec := simulate.DefaultSpec()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	state := analysis.NewState(began)
	for i := range b.N {
		now := began.Add(time.Duration(i+1) * 2 * time.Second)
		state, _ = analysis.Judge(spec, state, []analysis.Observation{{Check: "errors", Window: analysis.Window{Start: now.Add(-2 * time.Second), End: now},
			Stable: &analysis.Counts{Total: 190, Failed: 1}, Canary: &analysis.Counts{Total: 10}}}, now)
	}
}
