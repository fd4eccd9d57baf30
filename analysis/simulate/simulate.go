// Package simulate puts synthetic traffic before the judge, many times over,
// to show what an analysis would do before it is trusted: how often it rolls
// back a good canary, how fast it finds a bad one, how many requests that
// costs, and how long a good one takes.
//
// The judge is the one of package analysis; only the traffic is made up. A
// scenario and a seed give the same table on every machine.
package simulate

import (
	"context"
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
	// Scrapes, where set, are how the traffic is counted.
	Scrapes Scrapes
	// Delay from the end of a window to its verdict being acted on.
	Delay time.Duration
	// Deadline, where set, has steps end as the controller ends them: only on a
	// verdict that passes. A trial that is not done by then has expired. Without
	// it a step ends by its time whatever the judge lacks.
	Deadline time.Duration
	// Seed is added to the number of each run.
	Seed uint64
}

// Step is a weight, in percent, kept for a time.
type Step struct {
	Weight float64
	For    time.Duration
	// UntilEvidence advances as soon as the judge has proof, For being the
	// longest time.
	UntilEvidence bool
	// Least is how long such a step lasts however soon there is proof.
	Least time.Duration
	// HoldOnTimeout keeps such a step when For is over, until there is proof.
	HoldOnTimeout bool
}

// MayEnd is true when the step is done after the given time at its weight.
func (s Step) MayEnd(clock time.Duration, proven bool) bool {
	switch {
	case s.UntilEvidence && proven:
		return clock >= s.Least
	case s.UntilEvidence && s.HoldOnTimeout:
		return false
	}
	return clock >= max(s.For, s.Least)
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
	// Expired is true for a trial that was not done by the deadline.
	Expired bool
}

// start is the instant at which simulated trials begin. It is fixed, so that
// nothing depends on the day of the run.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Judge decides over one simulated trial, window by window.
type Judge interface {
	// Look takes one window's counts of both arms; it says whether the canary failed
	// and whether it is proven good.
	Look(o analysis.Observation) (failed, proven bool)
	// BeginStep tells that a new step begins.
	BeginStep(now time.Time)
}

// Holder is a Judge that may hold a weight: Holds is true when the last look was
// not enough for the weight to rise.
type Holder interface{ Holds() bool }

// NewJudge makes the judge of a fresh trial out of stable's windows before it.
type NewJudge func(past []analysis.Counts) Judge

// Sequential is the product's judge: the spec's first check, which must be a
// ratio or latency check, sees the traffic.
func Sequential(spec analysis.Spec) NewJudge {
	return func(past []analysis.Counts) Judge {
		return &sequential{spec: spec, state: analysis.Learn(analysis.NewState(start), spec.Checks[0].Name, past)}
	}
}

type sequential struct {
	spec  analysis.Spec
	state analysis.State
	holds bool
}

func (s *sequential) Look(o analysis.Observation) (failed, proven bool) {
	var v analysis.Verdict
	o.Check = s.spec.Checks[0].Name
	s.state, v = analysis.Judge(s.spec, s.state, []analysis.Observation{o}, o.Window.End)
	s.holds = v.Outcome != analysis.Pass
	return v.Outcome == analysis.Fail, v.Proven
}

// Wait implements Waiter.
func (s *sequential) Wait(now time.Time) {
	var v analysis.Verdict
	s.state, v = analysis.Judge(s.spec, s.state, nil, now)
	s.holds = v.Outcome != analysis.Pass
}

// Holds implements Holder.
func (s *sequential) Holds() bool { return s.holds }

func (s *sequential) BeginStep(now time.Time) { s.state = analysis.BeginStep(s.state, now) }

// Once simulates one rollout with one seed. Where the context ends first, the
// error is the context's.
func Once(ctx context.Context, newJudge NewJudge, sc Scenario, seed uint64) (Result, error) {
	if sc.Scrapes.Every > 0 {
		return onceScraped(ctx, newJudge, sc, seed)
	}
	src := &source{Traffic: sc.Traffic, rng: rand.New(rand.NewPCG(seed, 0x5e21))} //nolint:gosec // reproducible on purpose
	c := course{sc: sc, judge: newJudge(src.past(ctx, sc))}
	for ctx.Err() == nil {
		stable, canary := src.window(c.age, sc.Interval, c.weight()/100)
		end := start.Add(c.age + sc.Interval)
		failed, proven := c.judge.Look(analysis.Observation{Window: analysis.Window{Start: end.Add(-sc.Interval), End: end}, Stable: &stable, Canary: &canary})
		if c.look(canary.Failed, failed, proven) {
			return c.result, nil
		}
	}
	return Result{}, ctx.Err()
}

// course is one trial under way.
type course struct {
	sc    Scenario
	judge Judge
	// step is the running step, begun the age of the trial at which it began.
	step       int
	age, begun time.Duration
	result     Result
}

func (c *course) weight() float64 { return c.sc.Steps[c.step].Weight }

// look ends an interval by what the judge made of it, and says whether the trial
// is over.
func (c *course) look(canaryFailed float64, failed, proven bool) (over bool) {
	c.age += c.sc.Interval
	r := &c.result
	r.CanaryFailed += canaryFailed
	r.At, r.Weight = c.age+c.sc.Delay, c.weight()
	r.Proven = r.Proven || proven
	switch {
	case failed:
		r.Failed = true
		return true
	case c.sc.Deadline > 0 && c.age > c.sc.Deadline:
		r.Expired = true
		return true
	case c.sc.holds(c.judge) || !c.sc.Steps[c.step].MayEnd(c.age-c.begun, proven):
		return false
	}
	c.step, c.begun = c.step+1, c.age
	if c.step == len(c.sc.Steps) {
		return true
	}
	c.judge.BeginStep(start.Add(c.age))
	return false
}

// holds is true where the controller would not end a step.
func (sc Scenario) holds(judge Judge) bool {
	holder, ok := judge.(Holder)
	return ok && sc.Deadline > 0 && holder.Holds()
}

// past draws stable's traffic from before the trial.
func (s *source) past(ctx context.Context, sc Scenario) []analysis.Counts {
	var past []analysis.Counts
	for age := -sc.Past; age < 0 && ctx.Err() == nil; age += sc.Interval {
		stable, _ := s.window(age, sc.Interval, 0)
		past = append(past, stable)
	}
	return past
}

// Run simulates a scenario with the seeds 1 to runs after its own, on all
// processors. done, where it is not nil, is told of each rollout as it ends, of
// one at a time. Where the context ends first, there are no results and the error
// is the context's.
func Run(ctx context.Context, newJudge NewJudge, sc Scenario, runs int, done func()) ([]Result, error) {
	results := make([]Result, runs)
	var group sync.WaitGroup
	var told sync.Mutex
	next := make(chan int, runs)
	for i := range runs {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := range next {
				var err error
				if results[i], err = Once(ctx, newJudge, sc, sc.Seed+uint64(i)+1); err != nil {
					return
				}
				if done != nil {
					told.Lock()
					done()
					told.Unlock()
				}
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return results, nil
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
	// MedianLow and MedianHigh are the median's 95% interval, by order statistics.
	MedianLow, MedianHigh time.Duration
	// CanaryFailed is the median number of requests the canary failed.
	CanaryFailed float64
	// BeforeHalf is the share of runs rolled back before the weight reached 50%.
	// EarlyRuns is their number.
	BeforeHalf float64
	EarlyRuns  int
	// Promoted is the median duration of those promoted.
	Promoted time.Duration
	// Expired is how many were neither rolled back nor promoted by the deadline.
	Expired int
}

// Summarise condenses results.
func Summarise(sc Scenario, results []Result) Summary {
	s := Summary{Runs: len(results)}
	var detected, promoted []time.Duration
	var requests []float64
	for _, r := range results {
		if r.Expired {
			s.Expired++
			continue
		}
		if !r.Failed {
			promoted = append(promoted, r.At)
			continue
		}
		s.Failed++
		detected = append(detected, r.At-sc.Traffic.BadFrom)
		requests = append(requests, r.CanaryFailed)
		if r.Weight < 50 {
			s.EarlyRuns++
		}
	}
	s.Rate = float64(s.Failed) / float64(max(s.Runs, 1))
	s.Low, s.High = Wilson(s.Failed, s.Runs)
	s.Median, s.P95 = quantile(detected, 0.5), quantile(detected, 0.95)
	aside := 0.98 / math.Sqrt(float64(max(len(detected), 4)))
	s.MedianLow, s.MedianHigh = quantile(detected, 0.5-aside), quantile(detected, 0.5+aside)
	s.CanaryFailed = quantile(requests, 0.5)
	s.BeforeHalf = float64(s.EarlyRuns) / float64(max(s.Runs, 1))
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
