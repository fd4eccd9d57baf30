// Package simulate puts synthetic traffic before the judge, many times over,
// to show what an analysis would do before it is trusted: how often it rolls
// back a good canary, how fast it finds a bad one, how many requests that
// costs, and how long a good one takes.
//
// The judge is the one of package analysis; only the traffic is made up. A
// scenario and a seed give the same table on every machine.
package simulate

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Scenario is a rollout under a load.
type Scenario struct {
	Name    string
	Traffic Traffic
	// Steps of the rollout in order; after the last one it is promoted.
	Steps []Step
	// Past is how long stable was observed before the trial; it teaches the
	// judge about bursts.
	Past time.Duration
	// Interval of the looks.
	Interval time.Duration
	// Delay from the end of a window to its verdict being acted on.
	Delay time.Duration
}

// Step is a weight, in percent, kept for a time.
type Step struct {
	Weight float64
	For    time.Duration
	// UntilEvidence advances as soon as the judge has proof, For being the
	// longest time.
	UntilEvidence bool
}

// Ramp makes steps of equal length from one weight to another in a given time.
func Ramp(from, to float64, steps int, total time.Duration) []Step {
	ramp := make([]Step, steps)
	for i := range ramp {
		weight := from
		if steps > 1 {
			weight += (to - from) * float64(i) / float64(steps-1)
		}
		ramp[i] = Step{Weight: weight, For: total / time.Duration(steps)}
	}
	return ramp
}

// Result is the end of one simulated rollout.
type Result struct {
	// Failed is true for a rollback, and At how long after the trial began it
	// came; a promotion's At is its duration.
	Failed bool
	At     time.Duration
	// Weight at the end, in percent.
	Weight float64
	// CanaryFailed requests were answered badly by the canary until then.
	CanaryFailed float64
	// Proven is true when the judge had proof that the canary is good.
	Proven bool
}

// start is the instant at which simulated trials begin. It is fixed, so that
// nothing depends on the day of the run.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Once simulates one rollout with one seed. The spec's first check, which must
// be a ratio or latency check, sees the traffic.
func Once(spec analysis.Spec, sc Scenario, seed uint64) Result {
	src := &source{Traffic: sc.Traffic, rng: rand.New(rand.NewPCG(seed, 0x5e21))} //nolint:gosec // reproducible on purpose
	check := spec.Checks[0]
	state := learnPast(src, check, sc)
	var r Result
	age, begun := time.Duration(0), time.Duration(0)
	for i := 0; i < len(sc.Steps); {
		step := sc.Steps[i]
		stable, canary := src.window(age, sc.Interval, step.Weight/100)
		age += sc.Interval
		now := start.Add(age)
		var verdict analysis.Verdict
		state, verdict = analysis.Judge(spec, state, []analysis.Observation{{
			Check: check.Name, Window: analysis.Window{Start: now.Add(-sc.Interval), End: now}, Stable: &stable, Canary: &canary,
		}}, now)
		r.CanaryFailed += canary.Failed
		r.At, r.Weight = age+sc.Delay, step.Weight
		r.Proven = r.Proven || verdict.Proven
		if verdict.Outcome == analysis.Fail {
			r.Failed = true
			return r
		}
		if age-begun >= step.For || step.UntilEvidence && verdict.Proven {
			i, begun = i+1, age
			state = analysis.BeginStep(state, now)
		}
	}
	return r
}

// learnPast shows the judge stable's traffic from before the trial.
func learnPast(src *source, check analysis.Check, sc Scenario) analysis.State {
	var past []analysis.Counts
	for age := -sc.Past; age < 0; age += sc.Interval {
		stable, _ := src.window(age, sc.Interval, 0)
		past = append(past, stable)
	}
	// An incident that still runs when the trial begins belongs to it too.
	return analysis.Learn(analysis.NewState(start), check.Name, past)
}

// Run simulates a scenario with the seeds 1 to runs, on all processors.
func Run(spec analysis.Spec, sc Scenario, runs int) []Result {
	results := make([]Result, runs)
	var group sync.WaitGroup
	next := make(chan int, runs)
	for i := range runs {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := range next {
				results[i] = Once(spec, sc, uint64(i)+1)
			}
		})
	}
	group.Wait()
	return results
}

// Summary is what many runs of one scenario gave.
type Summary struct {
	Runs   int
	Failed int
	// Rate of rollbacks with its 95% interval.
	Rate, Low, High float64
	// Median and P95 time from the trial's begin (or from BadFrom) to the
	// rollback, over those rolled back.
	Median, P95 time.Duration
	// CanaryFailed is the median number of requests the canary failed.
	CanaryFailed float64
	// BeforeHalf is the share of runs rolled back before the weight reached 50%.
	BeforeHalf float64
	// Promoted is the median duration of those not rolled back.
	Promoted time.Duration
}

// Summarise condenses results.
func Summarise(sc Scenario, results []Result) Summary {
	s := Summary{Runs: len(results)}
	var detected, promoted []time.Duration
	var requests []float64
	before := 0
	for _, r := range results {
		if !r.Failed {
			promoted = append(promoted, r.At)
			continue
		}
		s.Failed++
		detected = append(detected, r.At-sc.Traffic.BadFrom)
		requests = append(requests, r.CanaryFailed)
		if r.Weight < 50 {
			before++
		}
	}
	s.Rate = float64(s.Failed) / float64(max(s.Runs, 1))
	s.Low, s.High = Wilson(s.Failed, s.Runs)
	s.Median, s.P95 = quantile(detected, 0.5), quantile(detected, 0.95)
	s.CanaryFailed = quantile(requests, 0.5)
	s.BeforeHalf = float64(before) / float64(max(s.Runs, 1))
	s.Promoted = quantile(promoted, 0.5)
	return s
}

// Wilson is the 95% score interval of a share (Wilson 1927).
func Wilson(hits, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, size := float64(hits)/float64(n), float64(n)
	centre := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	return max(0, centre-half), min(1, centre+half)
}

func quantile[T time.Duration | float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
