package rollout

import (
	"strings"
	"testing"
	"time"
)

// inStep is a rollout in its first step, which began a second ago.
func inStep(step Step, clock time.Duration) Snapshot {
	now := time.Unix(1_700_000_000, 0)
	spec := byPods()
	spec.Steps[0] = step
	stable, canary := Revision{TemplateHash: "a"}, Revision{TemplateHash: "b"}
	return Snapshot{
		Spec:     spec,
		Workload: Workload{Exists: true, Labelled: true, Held: true, Paused: true, Wanted: canary, Running: stable, StableKept: true, Replicas: 4},
		Canary:   Canary{Exists: true, TemplateHash: "b", Replicas: 1, Pods: []Pod{{Name: "p", ContainersReady: true, Open: true, Ready: true}}},
		Route:    Route{Released: true, Reached: true},
		Verdict:  Verdict{Outcome: Pass, Message: "all is well"},
		Status: Status{
			Phase: Progressing, Message: "before", Stable: stable, Canary: canary, Trial: 1, Weight: 20, Verdict: Pass,
			TrialStarted: now.Add(-time.Minute), StepStarted: now.Add(-clock), Clock: clock, ClockAt: now,
		},
	}
}

func TestSteps(t *testing.T) {
	timed := Step{Weight: 20, Duration: 30 * time.Second, Replicas: 1}
	evidence := Step{Weight: 20, Duration: 30 * time.Second, Until: UntilEvidence, Replicas: 1}
	approval := Step{Weight: 20, Until: UntilApproval, Replicas: 1}
	tests := map[string]struct {
		step    Step
		clock   time.Duration
		passed  time.Duration
		change  func(*Snapshot)
		step2   int
		phase   Phase
		stopped string
		says    string
	}{
		"its time is not over":               {timed, 10 * time.Second, 2 * time.Second, nil, 0, Progressing, "", ""},
		"its time is over":                   {timed, 29 * time.Second, 2 * time.Second, nil, 1, Progressing, "", "from 20% to 50%"},
		"over, but nothing is known":         {timed, 29 * time.Second, 11 * time.Second, func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive, Message: "no data"} }, 0, Progressing, "", "waits for a verdict that passes; no data"},
		"nobody looked for an hour":          {Step{Weight: 20, Duration: 5 * time.Minute, Replicas: 1}, time.Minute, time.Hour, nil, 0, Progressing, "", "for 5m;"},
		"the source is away":                 {timed, 10 * time.Second, 2 * time.Second, func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive, Freeze: true} }, 0, Progressing, ClockFrozen, "stands still"},
		"the source was away":                {timed, 29 * time.Second, 11 * time.Second, func(s *Snapshot) { s.Status.ClockStopped = ClockFrozen }, 0, Progressing, "", "for 30s"},
		"the source is away for too long":    {timed, 10 * time.Second, 2 * time.Second, func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive, Freeze: true, NeedsPerson: true} }, 0, Paused, ClockFrozen, ""},
		"there is evidence":                  {evidence, time.Second, time.Second, func(s *Snapshot) { s.Verdict.Proven = true }, 1, Progressing, "", "from 20% to 50%"},
		"too little evidence":                {evidence, 29 * time.Second, 2 * time.Second, nil, 0, Paused, "Waiting", "too little evidence after 30s"},
		"too little evidence, goes on":       {Step{Weight: 20, Duration: 30 * time.Second, Until: UntilEvidence, AdvanceOnTimeout: true, Replicas: 1}, 29 * time.Second, 2 * time.Second, nil, 1, Progressing, "", ""},
		"evidence comes late":                {evidence, 31 * time.Second, 2 * time.Second, func(s *Snapshot) { s.Status.ClockStopped, s.Verdict.Proven = "Waiting", true }, 1, Progressing, "", ""},
		"evidence sooner than it may end":    {Step{Weight: 20, Duration: time.Minute, Least: 30 * time.Second, Until: UntilEvidence, Replicas: 1}, 18 * time.Second, 11 * time.Second, func(s *Snapshot) { s.Verdict.Proven = true }, 0, Progressing, "", "for 30s at least"},
		"evidence, and its least time":       {Step{Weight: 20, Duration: time.Minute, Least: 30 * time.Second, Until: UntilEvidence, Replicas: 1}, 28 * time.Second, 2 * time.Second, func(s *Snapshot) { s.Verdict.Proven = true }, 1, Progressing, "", "from 20% to 50%"},
		"its least time is its longest":      {Step{Weight: 20, Duration: 30 * time.Second, Least: time.Minute, Until: UntilEvidence, AdvanceOnTimeout: true, Replicas: 1}, 48 * time.Second, 11 * time.Second, nil, 0, Progressing, "", "for 1m at least"},
		"waits for approval":                 {approval, time.Second, 2 * time.Second, nil, 0, Paused, "Waiting", "waits for a person"},
		"approved":                           {approval, time.Second, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Resume} }, 1, Progressing, "", ""},
		"approved, but nothing is known":     {approval, time.Second, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Resume}; s.Verdict.Outcome = Inconclusive }, 0, Progressing, "", ""},
		"paused by spec":                     {timed, time.Minute, 2 * time.Second, func(s *Snapshot) { s.Spec.Paused = true }, 0, Paused, ClockPaused, "spec.paused"},
		"paused on request":                  {timed, time.Minute, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Pause} }, 0, Paused, ClockPaused, "on request"},
		"fails while it is paused":           {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Spec.Paused = true; s.Verdict = Verdict{Outcome: Fail, Message: "bad"} }, 0, RollingBack, "", "bad"},
		"fails while its source is away":     {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Verdict = Verdict{Outcome: Fail, Freeze: true, Message: "bad"} }, 0, RollingBack, "", "bad"},
		"past its deadline":                  {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Status.TrialClock = time.Hour }, 0, RollingBack, "", "deadline of 1h;"},
		"promoted in full":                   {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Promote, By: "ann"} }, 0, Finalising, "", "promoted in full by ann"},
		"not promoted when it fails":         {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Promote}; s.Verdict.Outcome = Fail }, 0, RollingBack, "", ""},
		"a request is carried out once only": {timed, time.Second, 2 * time.Second, func(s *Snapshot) { s.Request = Request{ID: "1", Verb: Abort}; s.Status.HandledRequest = "1" }, 0, Progressing, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := inStep(test.step, test.clock)
			if test.change != nil {
				test.change(&s)
			}
			got := Decide(s, s.Status.ClockAt.Add(test.passed)).Status
			if got.Step != test.step2 || got.Phase != test.phase || got.ClockStopped != test.stopped || !strings.Contains(got.Message, test.says) {
				t.Errorf("step %d, %s, clock %q: %q\nwant step %d, %s, clock %q: %q", got.Step, got.Phase, got.ClockStopped, got.Message, test.step2, test.phase, test.stopped, test.says)
			}
		})
	}
}

// TestWaitingIsNotWritten states that a rollout that only waits, or is at
// rest, is not written at every look.
func TestWaitingIsNotWritten(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: time.Hour, Replicas: 1}, time.Second)
	writes := 0
	now := s.Status.ClockAt
	for range 60 {
		now = now.Add(time.Second)
		s.Verdict.Message += "."
		next := Decide(s, now).Status
		if !equal(next, s.Status) {
			writes++
		}
		s.Status = next
	}
	if writes != 6 {
		t.Errorf("60 looks in a minute gave %d writes, want one each 10 s", writes)
	}
	if want := 61 * time.Second; s.Status.Clock != want {
		t.Errorf("the clock is at %s, want %s", s.Status.Clock, want)
	}
	s.Status.Phase, s.Workload.Held, s.Workload.Paused, s.Workload.RolledOut = Healthy, false, false, true
	s.Workload.Wanted, s.Canary = s.Workload.Running, Canary{}
	s.Status = Decide(s, now).Status
	if next := Decide(s, now.Add(time.Hour)).Status; !equal(next, s.Status) {
		t.Errorf("a rollout at rest is written: %+v, before %+v", next, s.Status)
	}
}

// TestUndecidedAsksAPerson states that a trial whose verdict stays Inconclusive
// for longer than its limit waits for a person, is told once, ends nothing, and
// goes on by itself once the verdict passes.
func TestUndecidedAsksAPerson(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: 30 * time.Second, Replicas: 1}, time.Second)
	s.Spec.InconclusiveLimit, s.Spec.Deadline = time.Minute, 0
	s.Verdict = Verdict{Outcome: Inconclusive, Message: "3 requests, 20 are needed"}
	now, told := s.Status.ClockAt, 0
	look := func() Plan {
		now = now.Add(2 * time.Second)
		plan := Decide(s, now)
		s.Status = plan.Status
		return plan
	}
	for range 30 {
		if plan := look(); plan.Status.Phase != Progressing || plan.Event != nil {
			t.Fatalf("after %s it is %s: %s; event %+v", plan.Status.Undecided, plan.Status.Phase, plan.Status.Message, plan.Event)
		}
	}
	var plan Plan
	for range 300 {
		plan = look()
		if plan.Event != nil {
			told++
		}
	}
	if plan.Status.Phase != Paused || plan.Status.ClockStopped != ClockWaiting || plan.Health != Stuck || plan.Reason != "NeedsPerson" || told != 1 {
		t.Errorf("%s, clock %q, %s %s, told %d times", plan.Status.Phase, plan.Status.ClockStopped, plan.Health, plan.Reason, told)
	}
	if says := plan.Status.Message; !strings.Contains(says, "no verdict for 1m") || !strings.Contains(says, "3 requests, 20 are needed") {
		t.Errorf("it says %q", says)
	}
	s.Request = Request{ID: "1", Verb: Resume}
	if plan = look(); plan.Status.Phase != Progressing || plan.Status.Undecided != 0 || plan.Status.Approved {
		t.Errorf("resumed: %s, undecided for %s, approved %t", plan.Status.Phase, plan.Status.Undecided, plan.Status.Approved)
	}
	for range 40 {
		plan = look()
	}
	if plan.Status.Phase != Paused {
		t.Errorf("as long again after it was resumed, it is %s", plan.Status.Phase)
	}
	s.Verdict.Outcome = Pass
	if plan = look(); plan.Status.Phase != Progressing || plan.Status.Undecided != 0 {
		t.Errorf("once the verdict passes it is %s, undecided for %s", plan.Status.Phase, plan.Status.Undecided)
	}
}

// TestStartingIsNotUndecided states that the time until a canary pod is up is not
// that of a verdict which does not come.
func TestStartingIsNotUndecided(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: 30 * time.Second, Replicas: 1}, time.Second)
	s.Spec.InconclusiveLimit, s.Spec.Deadline = time.Minute, 0
	s.Canary.Pods[0] = Pod{Name: "p"}
	s.Verdict = Verdict{Outcome: Inconclusive, Message: "0 of 1 canary pods are ready"}
	now := s.Status.ClockAt
	for range 300 {
		now = now.Add(2 * time.Second)
		if s.Status = Decide(s, now).Status; s.Status.Phase == Paused {
			t.Fatalf("after %s: %s", now.Sub(s.Status.TrialStarted), s.Status.Message)
		}
	}
}
