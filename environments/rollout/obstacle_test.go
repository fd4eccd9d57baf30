package rollout

import (
	"strings"
	"testing"
	"time"
)

// blockedBy gives a trial in its first step, not reached, with one canary pod
// that does not come up.
func blockedBy(change func(*Snapshot)) Snapshot {
	s := inStep(Step{Weight: 20, Duration: 30 * time.Second, Replicas: 1}, 0)
	s.Spec.Routed = true
	s.Services = Services{Exist: true, Narrow: true}
	s.Route = Route{Reached: true}
	s.Canary.Pods = []Pod{{Name: "p"}}
	s.Verdict = Verdict{Outcome: Inconclusive, Message: "0 of 1 canary pods are ready"}
	s.Status.StepStarted, s.Status.Weight, s.Status.Phase = time.Time{}, 0, Starting
	change(&s)
	return s
}

func TestObstaclesHoldAndRejectNothing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Snapshot)
		reason string
		says   string
	}{
		"no room": {func(s *Snapshot) { s.Canary.Obstacle = Obstacle{NoRoom, "0/3 nodes: insufficient cpu"} }, NoRoom, "insufficient cpu"},
		"quota": {func(s *Snapshot) {
			s.Canary.Pods, s.Canary.Obstacle = nil, Obstacle{PodsRefused, "exceeded quota"}
		}, PodsRefused, "exceeded quota"},
		"registry": {func(s *Snapshot) { s.Canary.Obstacle = Obstacle{ImageSourceAway, "503 Service Unavailable"} }, ImageSourceAway, "503"},
		"no route": {func(s *Snapshot) { s.Route = Route{Missing: true, Released: true, Message: "there is no HTTPRoute"} }, RouteMissing, "there is no HTTPRoute"},
		"route gone under way": {func(s *Snapshot) {
			s.Canary.Pods = []Pod{{Name: "p", ContainersReady: true, Open: true, Ready: true}}
			s.Verdict = Verdict{Outcome: Pass}
			s.Route = Route{Missing: true, Released: true, Message: "there is no HTTPRoute"}
		}, RouteMissing, "there is no HTTPRoute"},
		"route refused": {func(s *Snapshot) {
			s.Canary.Pods = []Pod{{Name: "p", ContainersReady: true}}
			s.Route = Route{Refused: true, Message: "Accepted=False (NotAllowedByListeners)"}
		}, RouteRefused, "NotAllowedByListeners"},
	} {
		t.Run(name, func(t *testing.T) {
			s := blockedBy(test.change)
			now := s.Status.ClockAt
			plan := Decide(s, now)
			if plan.Health != Stuck || plan.Reason != test.reason || plan.Status.Phase != Paused || plan.Status.ClockStopped != ClockBlocked || !strings.Contains(plan.Status.Message, test.says) {
				t.Errorf("%s %s, %s, clock %q: %s", plan.Health, plan.Reason, plan.Status.Phase, plan.Status.ClockStopped, plan.Status.Message)
			}
			if plan.Event == nil || plan.Event.Reason != "TrialBlocked" || !plan.Event.Warning {
				t.Errorf("the event is %+v", plan.Event)
			}
			for range 2 * 60 * 60 {
				now = now.Add(time.Second)
				s.Status = plan.Status
				if plan = Decide(s, now); plan.Event != nil || plan.Status.Phase != Paused {
					t.Fatalf("after %s it is %s: %s; event %+v", now.Sub(s.Status.TrialStarted), plan.Status.Phase, plan.Status.Message, plan.Event)
				}
				if plan.Action.Do == SetWeight || plan.Action.Do == OpenGate {
					t.Fatalf("it does %s: %s", plan.Action.Do, plan.Action.Reason)
				}
			}
			s.Status = plan.Status
			s.Canary.Obstacle, s.Route = Obstacle{}, Route{Reached: true}
			if plan = Decide(s, now.Add(time.Second)); plan.Status.Phase != Starting || plan.Status.ClockStopped != "" || plan.Event == nil || plan.Event.Reason != "TrialGoesOn" {
				t.Errorf("once it is mended it is %s, clock %q: %s; event %+v", plan.Status.Phase, plan.Status.ClockStopped, plan.Status.Message, plan.Event)
			}
		})
	}
}

// TestObstacleDoesNotHideFailure states that a verdict that fails ends a trial
// that is held up.
func TestObstacleDoesNotHideFailure(t *testing.T) {
	s := blockedBy(func(s *Snapshot) {
		s.Canary.Obstacle, s.Verdict = Obstacle{NoRoom, "no room"}, Verdict{Outcome: Fail, Message: "it crashed"}
	})
	if plan := Decide(s, s.Status.ClockAt); plan.Status.Phase != RollingBack || plan.Status.Failure != "it crashed" {
		t.Errorf("it is %s: %s", plan.Status.Phase, plan.Status.Failure)
	}
}

// TestDeadlineRejectsOnlyUnready: a trial whose time is over says something of
// the revision only where its pods are not ready.
func TestDeadlineRejectsOnlyUnready(t *testing.T) {
	s := blockedBy(func(s *Snapshot) { s.Status.TrialClock = 2 * time.Hour })
	if plan := Decide(s, s.Status.ClockAt); plan.Status.Failure == "" || plan.Action.Do != StopTraffic {
		t.Errorf("with a pod that is not ready it is %s, failure %q, unfinished %q", plan.Status.Phase, plan.Status.Failure, plan.Status.Unfinished)
	}
	s.Canary.Pods[0].ContainersReady = true
	s.Route = Route{Message: "Gateway web has not taken generation 3 of the route yet"}
	plan := Decide(s, s.Status.ClockAt)
	if plan.Status.Failure != "" || plan.Status.Unfinished == "" || plan.Action.Do != StopTraffic || plan.Event == nil || plan.Event.Reason != "TrialUnfinished" {
		t.Errorf("with its pods ready it is %s, failure %q, unfinished %q, event %+v", plan.Status.Phase, plan.Status.Failure, plan.Status.Unfinished, plan.Event)
	}
}

// unfinishedWorld is one whose trial came to no verdict until its deadline.
func unfinishedWorld(t *testing.T) *world {
	spec := byPods()
	spec.Steps = []Step{{Weight: 20, Until: UntilEvidence, Duration: time.Hour, Replicas: 1}}
	w := calmWorld(t, spec, doubtful, Progressing)
	w.status.TrialClock = spec.Deadline + time.Second
	w.until(RolledBack)
	w.run(20)
	return w
}

func TestUnfinishedTrialIsHeldForPerson(t *testing.T) {
	w := unfinishedWorld(t)
	if st := w.status; st.Phase != RolledBack || st.Failure != "" || st.Trial != 1 || st.ClockStopped != ClockWaiting || !w.held || w.canary.Exists || w.canary.open() > 0 {
		t.Fatalf("it is %+v, held %t, canary %+v", st, w.held, w.canary)
	}
	if plan := Decide(w.snapshot(), w.now); plan.Health != Stuck || plan.Reason != "TrialUnfinished" || !strings.Contains(plan.Status.Message, "not rejected") {
		t.Errorf("%s %s: %s", plan.Health, plan.Reason, plan.Status.Message)
	}
	t.Run("retried", func(t *testing.T) {
		w := unfinishedWorld(t)
		w.faults["b"] = good
		w.ask(Retry)
		w.until(Healthy)
		if w.status.Trial != 2 || w.status.Stable.TemplateHash != "b" || w.status.Unfinished != "" {
			t.Errorf("it is %+v", w.status)
		}
	})
	t.Run("aborted", func(t *testing.T) {
		w := unfinishedWorld(t)
		w.ask(Abort)
		w.run(10)
		if w.status.Phase != RolledBack || !strings.HasPrefix(w.status.Failure, "aborted by ann") || w.status.Unfinished != "" || w.status.ClockStopped != "" {
			t.Errorf("it is %+v", w.status)
		}
	})
	t.Run("reverted and tried again", func(t *testing.T) {
		w := unfinishedWorld(t)
		w.push("a", good)
		w.until(Healthy)
		w.run(10)
		if w.status.Unfinished != "" || w.status.ClockStopped != "" || w.status.Verdict != "" {
			t.Errorf("back on stable it is %+v", w.status)
		}
		w.push("b", good)
		w.run(120)
		if w.status.Phase != Healthy || w.status.Stable.TemplateHash != "b" {
			t.Errorf("it is %+v", w.status)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		w := unfinishedWorld(t)
		w.push("c", good)
		w.run(150)
		if w.status.Phase != Healthy || w.status.Stable.TemplateHash != "c" {
			t.Errorf("it is %+v", w.status)
		}
	})
}

// TestObstacleWhileItRolls states that lack of room for the workload's own new
// pods, once the canary passed, fails nothing.
func TestObstacleWhileItRolls(t *testing.T) {
	for name, phase := range map[string]Phase{"finalising": Finalising, "baking": Baking} {
		w := calmWorld(t, baked(byPods()), good, phase)
		s := w.snapshot()
		s.Workload.Held, s.Workload.Paused, s.Workload.RolledOut = false, false, false
		s.Workload.Failed = "ReplicaSet app-1 has timed out progressing"
		s.Workload.Obstacle = Obstacle{NoRoom, "0/3 nodes: insufficient cpu"}
		if plan := Decide(s, w.now); plan.Status.Phase != phase || plan.Status.Failure != "" {
			t.Errorf("%s: without room it is %s: %s", name, plan.Status.Phase, plan.Status.Failure)
		}
		s.Workload.Obstacle = Obstacle{}
		if plan := Decide(s, w.now); plan.Status.Phase != RollingBack {
			t.Errorf("%s: with room it is %s", name, plan.Status.Phase)
		}
	}
}

// TestLongOutageIsStuck states that a source that is away for too long shows as
// a stalled Rollout, and is told of once.
func TestLongOutageIsStuck(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: time.Minute, Replicas: 1}, time.Second)
	s.Verdict = Verdict{Outcome: Inconclusive, Freeze: true, NeedsPerson: true, Message: "Prometheus has been away for 30m"}
	plan := Decide(s, s.Status.ClockAt)
	if plan.Health != Stuck || plan.Event == nil || !strings.Contains(plan.Event.Message, "Prometheus") {
		t.Errorf("%s %s, event %+v", plan.Health, plan.Reason, plan.Event)
	}
	s.Status = plan.Status
	if plan = Decide(s, s.Status.ClockAt); plan.Event != nil || plan.Health != Stuck {
		t.Errorf("again: %s, event %+v", plan.Health, plan.Event)
	}
}

func TestFloorResetIsTold(t *testing.T) {
	w := calmWorld(t, byPods(), good, Progressing)
	s := w.snapshot()
	s.Autoscaler = Autoscaler{Exists: true, Held: true, Floor: 1, Ceiling: 9, Reset: true}
	plan := Decide(s, w.now)
	if plan.Action.Do != HoldFloor || plan.Action.Replicas != 4 || plan.Status.FloorResets != 1 || plan.Health != Stuck {
		t.Errorf("it does %+v, counted %d, %s", plan.Action, plan.Status.FloorResets, plan.Health)
	}
	if plan.Event == nil || plan.Event.Reason != "FloorReset" || !strings.Contains(plan.Event.Message, "KEDA") || !strings.Contains(plan.Event.Message, "4 pods of stable") {
		t.Errorf("the event is %+v", plan.Event)
	}
	s.Autoscaler.Reset = false
	if plan := Decide(s, w.now); plan.Status.FloorResets != 0 || plan.Event != nil || plan.Action.Do != HoldFloor {
		t.Errorf("where stable has only grown: %+v, event %+v", plan.Action, plan.Event)
	}
	s.Autoscaler.Floor, s.Autoscaler.Ceiling = 3, 3
	if plan := Decide(s, w.now); plan.Action.Do == HoldFloor {
		t.Errorf("a floor at the ceiling is raised: %+v", plan.Action)
	}
}

// TestStrandedCanaryIsAbandoned states that pods on a node that does not answer
// do not keep a trial from ending, nor the next from starting.
func TestStrandedCanaryIsAbandoned(t *testing.T) {
	w := calmWorld(t, byPods(), good, Progressing)
	gone := Canary{Exists: true, Deleting: true, TemplateHash: "b", Ending: "pod p on node n, which does not answer"}
	for name, change := range map[string]func(*Snapshot){
		"at rest": func(s *Snapshot) { s.Status.Phase, s.Workload.Held = Healthy, false },
		"on its way back": func(s *Snapshot) {
			s.Status.Phase, s.Status.Failure, s.Status.DrainStarted = RollingBack, "a test", w.now.Add(-time.Hour)
		},
		"before the next": func(s *Snapshot) { s.Status.Phase = Starting },
	} {
		s := w.snapshot()
		s.Canary = gone
		change(&s)
		if plan := Decide(s, w.now); plan.Action.Do != Nothing {
			t.Errorf("%s: with a pod that may still end it does %+v", name, plan.Action)
		}
		s.Canary.Stranded = true
		if plan := Decide(s, w.now); plan.Action.Do != AbandonCanary || !strings.Contains(plan.Action.Reason, "node n") {
			t.Errorf("%s: it does %+v", name, plan.Action)
		}
	}
}

// TestTemplateIsKept states that a workload that keeps no ReplicaSet can be
// returned, and that nothing of that is left at rest.
func TestTemplateIsKept(t *testing.T) {
	w := newWorld(t, 1, baked(byPods()))
	w.calm, w.keepsNone = true, true
	w.run(10)
	w.push("b", late)
	w.until(Progressing)
	if w.status.StableTemplate != "template of a" {
		t.Errorf("during the trial the template kept is %q", w.status.StableTemplate)
	}
	w.until(RolledBack)
	w.run(30)
	if w.pods["a"] != 4 || w.status.StableTemplate != "" {
		t.Errorf("it ends on %v, with %q kept", w.pods, w.status.StableTemplate)
	}
	if log := strings.Join(w.log, "\n"); strings.Count(log, "StableTemplateKept") != 1 {
		t.Errorf("the log:\n%s", log)
	}
}

// TestLabelIsPutBackDuringTrial states that a revision that comes during a trial
// finds the workload labelled, whoever took the label off.
func TestLabelIsPutBackDuringTrial(t *testing.T) {
	w := calmWorld(t, byPods(), good, Progressing)
	w.labelled = false
	w.run(2)
	if !w.labelled || !w.status.Phase.OnTrial() {
		t.Errorf("labelled %t, %s", w.labelled, w.status.Phase)
	}
}
