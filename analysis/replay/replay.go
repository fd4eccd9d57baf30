// Package replay judges a past release again, from the time series that it left
// behind, and says when the judge would have decided what.
//
// What the release really got of the traffic is in its counts. What is replayed
// is the judge, look by look, each with no more than was known at its time, and
// the steps of a Rollout.
package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/environments"
)

// maxLooks bounds a replay.
const maxLooks = 100_000

// Release is what is replayed.
type Release struct {
	// Spec holds ratio, latency and threshold checks only: pods of the past
	// cannot be asked.
	Spec  analysis.Spec
	Steps []simulate.Step
	// Trial says which series are the canary's and which stable's.
	Trial observe.Trial
	// From is when the canary first got traffic, To where the replay ends.
	From, To time.Time
	// Interval between two looks.
	Interval time.Duration
	// Past is how long before From stable is looked at to learn about bursts.
	Past time.Duration
	// Deadline of the whole trial; 0 means none.
	Deadline time.Duration
}

// Ending is what would have become of the release.
type Ending string

// The endings.
const (
	// Promoted: it passed all steps.
	Promoted Ending = "promoted"
	// RolledBack: a check failed, or the deadline was over.
	RolledBack Ending = "rolled back"
	// Undecided: the replay ended first.
	Undecided Ending = "undecided"
)

// Event is a change: of the verdict, or of the step.
type Event struct {
	At time.Time
	// Step counts from 0; Weight is its weight in percent.
	Step    int
	Weight  float64
	Outcome analysis.Outcome
	Reason  analysis.Reason
	Message string
}

// Result is the whole course of a replay.
type Result struct {
	Events []Event
	Ending Ending
	// Ended is when, by the clock of the past.
	Ended time.Time
	// State and Verdict are the last ones.
	State   analysis.State
	Verdict analysis.Verdict
}

// Done is how far a replay is.
type Done struct {
	// Answers of the source so far, looks, and how many these may be at most.
	Answers, Looks, Most int
	// Until is the time of the last look, of which there may be none.
	Until time.Time
}

// Run replays a release. It fails where the source cannot be asked or refuses
// a query: then nothing can be said about the past; and where the context ends.
// done, where it is not nil, is told of each answer and of each look.
func Run(ctx context.Context, source analysis.Source, r Release, done func(Done)) (Result, error) {
	if err := r.validate(); err != nil {
		return Result{}, err
	}
	far := Done{Most: int(r.To.Sub(r.From) / r.Interval)}
	tell := func() {
		if done != nil {
			done(far)
		}
	}
	known := newMemory(source, r.From.Add(-r.Past-margin), r.To, func() { far.Answers++; tell() })
	p := &player{Release: r, observer: observe.Observer{Source: known}, state: analysis.NewState(r.From)}
	if err := p.learn(ctx); err != nil {
		return Result{}, err
	}
	p.result.Ending = Undecided
	for now := r.From.Add(r.Interval); !now.After(r.To) && p.result.Ending == Undecided; now = now.Add(r.Interval) {
		// What is remembered is answered whatever became of the context.
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := p.look(ctx, now); err != nil {
			return Result{}, err
		}
		far.Looks, far.Until = far.Looks+1, now
		tell()
	}
	p.result.State = p.state
	return p.result, nil
}

func (r Release) validate() error {
	switch {
	case len(r.Spec.Checks) == 0:
		return fmt.Errorf("the analysis has no ratio, latency or threshold check to replay")
	case len(r.Steps) == 0:
		return fmt.Errorf("there is no step to replay")
	case r.Interval <= 0:
		return fmt.Errorf("the interval of the looks is %s; it must be above 0", r.Interval)
	case r.To.Sub(r.From) < r.Interval:
		return fmt.Errorf("the replay would begin at %s and end at %s; it must last for one look, %s, at least", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), r.Interval)
	case r.To.Sub(r.From)/r.Interval > maxLooks:
		return fmt.Errorf("a look every %s from %s to %s are more than %d; choose a shorter time or a longer interval",
			r.Interval, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), maxLooks)
	}
	return r.Spec.Validate()
}

// player is a replay under way.
type player struct {
	Release
	observer observe.Observer
	state    analysis.State
	result   Result
	step     int
	// clock is how long the step has lasted, total the trial; outages stop both.
	clock, total time.Duration
}

func (p *player) learn(ctx context.Context) error {
	if p.Past <= 0 {
		return nil
	}
	for _, check := range p.Spec.Checks {
		if check.Kind != analysis.KindRatio && check.Kind != analysis.KindLatency {
			continue
		}
		past, err := p.observer.Past(ctx, check, p.Trial, p.From.Add(-p.Past), p.From)
		if err != nil {
			return fmt.Errorf("check %s: the past of stable: %w", check.Name, err)
		}
		p.state = analysis.Learn(p.state, check.Name, past)
	}
	return nil
}

// look asks what was due, judges it, and goes on by a step where it may.
func (p *player) look(ctx context.Context, now time.Time) error {
	var observations []analysis.Observation
	for _, check := range p.Spec.Checks {
		due := p.observer.Due(ctx, check, p.Trial, p.state, now)
		for _, o := range due {
			if a := o.Absence; a != nil && (a.Kind == analysis.Outage || a.Kind == analysis.BadQuery) {
				return fmt.Errorf("check %s at %s: %w", check.Name, now.Format(time.RFC3339), a)
			}
		}
		observations = append(observations, due...)
	}
	var v analysis.Verdict
	p.state, v = analysis.Judge(p.Spec, p.state, observations, now)
	p.result.Verdict, p.result.Ended = v, now
	if !v.Freeze {
		p.clock, p.total = p.clock+p.Interval, p.total+p.Interval
	}
	switch {
	case v.Outcome == analysis.Fail:
		p.result.Ending = RolledBack
	case p.Deadline > 0 && p.total > p.Deadline:
		p.result.Ending = RolledBack
		v.Message = fmt.Sprintf("not done within the deadline of %s; last: %s", environments.Span(p.Deadline), v.Message)
	}
	p.note(now, v)
	if v.Outcome == analysis.Pass && p.Steps[p.step].MayEnd(p.clock, v.Proven) {
		p.advance(now)
	}
	return nil
}

func (p *player) advance(now time.Time) {
	if p.step+1 == len(p.Steps) {
		p.result.Ending = Promoted
		return
	}
	p.step, p.clock = p.step+1, 0
	p.state = analysis.BeginStep(p.state, now)
}

// note remembers what changed.
func (p *player) note(now time.Time, v analysis.Verdict) {
	e := Event{At: now, Step: p.step, Weight: p.Steps[p.step].Weight, Outcome: v.Outcome, Reason: v.Reason, Message: v.Message}
	if n := len(p.result.Events); n > 0 {
		last := p.result.Events[n-1]
		if last.Step == e.Step && last.Outcome == e.Outcome && last.Reason == e.Reason && p.result.Ending == Undecided {
			return
		}
	}
	p.result.Events = append(p.result.Events, e)
}
