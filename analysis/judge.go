package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
	"github.com/serin-gitops/serin/analysis/workload"
)

// staleAfter is how many intervals, and at least how long, may pass without a
// look before a check counts as having no data.
const (
	staleIntervals = 6
	staleAtLeast   = 100 * time.Second
)

const (
	// paceMemory is how many windows it takes to forget a long one.
	paceMemory = 8
	// late is how late a scrape and a look may be together.
	late = 10 * time.Second
	// missed is how many requests the canary should have had, at the rate of the
	// step so far, before their absence is a sign that counters stand still.
	missed = 20
)

// fresh is how old the newest window that was counted may be for a check to
// pass. What happened since is not known.
func (s CheckState) fresh(check Check) time.Duration {
	if s.Pace > 0 {
		return 2*s.Pace + check.interval() + late
	}
	return max(staleAtLeast, staleIntervals*check.interval())
}

// still says that the canary's counters have stood still for longer than they
// ever should, at the rate of this step: nobody asks it any more, or what is
// scraped is a copy of the past.
func (s CheckState) still(check Check, step time.Time) (since time.Duration, expected float64) {
	if s.Ratio == nil || s.Active.IsZero() || !s.Active.After(step) {
		return 0, 0
	}
	since = s.Through.Sub(s.Active)
	expected = s.Ratio.StepCanary.Total * since.Seconds() / s.Active.Sub(step).Seconds()
	if since <= s.fresh(check) || expected < missed {
		return 0, 0
	}
	return since, expected
}

// Judge folds observations into a trial's state and gives the verdict at now.
//
// Observations may come in any order; those of one check are taken by the end
// of their window. A window that was counted before, comes late, or overlaps
// one that was counted is ignored and counted in CheckState.Rejected, so that
// repeating a call changes nothing. Neither argument is modified.
func Judge(spec Spec, state State, observations []Observation, now time.Time) (State, Verdict) {
	next := state
	next.Version = StateVersion
	next.Checks = make([]CheckState, 0, len(spec.Checks))
	verdicts := make([]CheckVerdict, 0, len(spec.Checks))
	for _, check := range spec.Checks {
		cs := state.check(check.Name)
		if check.Validate() == nil {
			for _, o := range forCheck(observations, check.Name) {
				cs = cs.observe(check, state, o)
			}
		}
		v := judgeCheck(spec, check, state, cs, now)
		if v.Outcome == Fail && cs.Failed == nil {
			latched := v
			cs.Failed = &latched
		}
		next.Checks = append(next.Checks, cs)
		verdicts = append(verdicts, v)
	}
	return next, conclude(verdicts)
}

// Learn teaches the judge how stable's failures come in bursts, from stable's
// windows before the trial, oldest first. Without it the first bursts of a
// trial are judged by the prior belief that failures are independent. It
// changes nothing once the check has counted a window.
func Learn(state State, check string, past []Counts) State {
	cs := state.check(check)
	if cs.Ratio != nil && (cs.Ratio.Stable.Total > 0 || cs.Ratio.Canary.Total > 0) {
		return state
	}
	r := evidence.State{}
	for _, c := range past {
		if c.Valid() {
			r = r.Learn(c)
		}
	}
	cs.Ratio = &r
	state.Checks = slices.Clone(state.Checks)
	for i := range state.Checks {
		if state.Checks[i].Name == check {
			state.Checks[i] = cs
			return state
		}
	}
	state.Checks = append(state.Checks, cs)
	return state
}

// forCheck selects one check's observations, in order of their windows' ends.
func forCheck(observations []Observation, name string) []Observation {
	var own []Observation
	for _, o := range observations {
		if o.Check == name {
			own = append(own, o)
		}
	}
	slices.SortStableFunc(own, func(a, b Observation) int {
		return cmp.Or(a.Window.End.Compare(b.Window.End), a.Window.Start.Compare(b.Window.Start))
	})
	return own
}

func (s State) check(name string) CheckState {
	for _, c := range s.Checks {
		if c.Name == name {
			return c
		}
	}
	return CheckState{Name: name}
}

// observe counts one observation, unless it was counted before.
func (s CheckState) observe(check Check, trial State, o Observation) CheckState {
	if o.Window.Start.Before(trial.Started.Add(check.InitialDelay)) && check.InitialDelay > 0 {
		return s
	}
	if !s.Through.IsZero() && (!o.Window.End.After(s.Through) || o.Window.Start.Before(s.Through)) || o.Window.End.Before(o.Window.Start) {
		s.Rejected++
		return s
	}
	if absence := Missing(check, o); absence != nil {
		return s.absent(*absence, o.Window.End)
	}
	s.Absence = nil
	s.Through = o.Window.End
	switch check.Kind {
	case KindRatio, KindLatency:
		return s.observeRatio(check.comparison().test(), trial.Step, o)
	case KindThreshold:
		return s.observeLook(check, thresholdLook(*check.Threshold, o))
	case KindHTTP, KindPeers:
		return s.observeLook(check, probeLook(o))
	case KindResources:
		return s.observeLook(check, usageLook(*check.Resources, o))
	case KindWebhook:
		return s.observeLook(check, answerLook(o))
	case KindWorkload:
		f := workload.Assess(*check.Workload, o.Pods, o.Window.End)
		s.Pods = &f
		s.History = s.History.Add(Point{At: f.At, Number: float64(f.Ready), Failed: f.Health == workload.Failed})
	}
	return s
}

// absent remembers since when there has been no data. The window stays
// uncounted: it may be asked for again once the source is back.
func (s CheckState) absent(a Absence, at time.Time) CheckState {
	a.Message = clip(a.Message, 300)
	since := at
	if s.Absence != nil {
		if at.Before(s.Absence.Since) {
			return s
		}
		if s.Absence.Kind == a.Kind {
			since = s.Absence.Since
		}
	}
	s.Absence = &AbsenceState{Absence: a, Since: since}
	return s
}

// observeRatio adds a window to the evidence. One that began before the step, at
// another weight, says nothing of what the step needs to pass.
func (s CheckState) observeRatio(t evidence.Test, step time.Time, o Observation) CheckState {
	r := evidence.State{}
	if s.Ratio != nil {
		r = *s.Ratio
	}
	before := r
	r = r.Observe(t, *o.Stable, *o.Canary)
	if o.Window.Start.Before(step) {
		r.StepCanary, r.Better, r.Within = before.StepCanary, before.Better, before.Within
	}
	if o.Stable.Total+o.Canary.Total > 0 {
		s.Pace = max(o.Window.End.Sub(o.Window.Start), s.Pace-s.Pace/paceMemory)
	}
	s.Seen = s.Seen || !o.Unseen
	if o.Canary.Total > 0 {
		s.Active = o.Window.End
	}
	s.Ratio = &r
	s.History = s.History.Add(Point{At: o.Window.End, Stable: *o.Stable, Canary: *o.Canary, LogEvidence: r.LogEvidence(t)})
	return s
}

func (s CheckState) observeLook(check Check, l Look) CheckState {
	_, of := check.rule()
	s.Looks = addLook(s.Looks, l, of)
	s.History = s.History.Add(Point{At: l.At, Number: l.Number, Failed: l.Failed})
	return s
}

// What is said of figures that are none.
const (
	notRequests = "the counts are not numbers of requests"
	notNumber   = "the query gave no finite number"
)

// Missing says why an observation holds no usable data, nil if it does.
func Missing(check Check, o Observation) *Absence {
	if o.Absence != nil {
		return o.Absence
	}
	switch check.Kind {
	case KindRatio, KindLatency:
		if o.Stable == nil || o.Canary == nil {
			return &Absence{Kind: NoData, Message: "one arm has no counts"}
		}
		if !o.Stable.Valid() || !o.Canary.Valid() {
			return &Absence{Kind: NoData, Message: notRequests}
		}
	case KindThreshold:
		if o.Value == nil || math.IsNaN(*o.Value) || math.IsInf(*o.Value, 0) {
			return &Absence{Kind: NoData, Message: notNumber}
		}
	case KindHTTP, KindPeers:
		if len(o.Probes) == 0 {
			return &Absence{Kind: NoData, Message: "there is no canary pod to ask"}
		}
	case KindResources:
		if o.Usage == nil || !o.Usage.Covers(*check.Resources) {
			return &Absence{Kind: NoData, Message: "CPU or memory of an arm was not measured"}
		}
	case KindWebhook:
		if o.Answer == nil {
			return &Absence{Kind: NoData, Message: "the gate gave no answer"}
		}
	}
	return nil
}

func (c Check) interval() time.Duration {
	if c.Interval > 0 {
		return c.Interval
	}
	return DefaultInterval
}

// comparison is what ratio and latency checks share.
func (c Check) comparison() Comparison {
	switch {
	case c.Ratio != nil:
		return c.Ratio.Comparison
	case c.Latency != nil:
		return c.Latency.Comparison
	}
	return Comparison{}
}

// statistical is true for the checks that alpha is split over.
func (c Check) statistical() bool { return c.Kind == KindRatio || c.Kind == KindLatency }
