package rollout

import (
	"strings"
	"testing"
)

// until runs the world, calm, until its status is in a phase.
func (w *world) until(phase Phase) {
	w.t.Helper()
	for range 200 {
		if w.status.Phase == phase {
			return
		}
		w.run(1)
	}
	w.t.Fatalf("phase %s never came: %+v\n%s", phase, w.status, strings.Join(w.log, "\n"))
}

// calmWorld gives a calm world in which revision b came to a phase.
func calmWorld(t *testing.T, spec Spec, f fault, phase Phase) *world {
	w := newWorld(t, 1, spec)
	w.calm = true
	w.run(10)
	w.push("b", f)
	w.until(phase)
	return w
}

func (w *world) scale(n int32) {
	w.replicas = n
	for hash, pods := range w.pods {
		w.pods[hash] = min(pods, n)
	}
}

// TestRejectedStaysHeldAtZero states that scaling to 0, as a schedule does at
// night, does not let a revision loose that failed.
func TestRejectedStaysHeldAtZero(t *testing.T) {
	w := calmWorld(t, byPods(), errs, RolledBack)
	w.scale(0)
	w.run(10)
	if !w.held || w.status.Phase != RolledBack {
		t.Errorf("scaled to 0, held %t, %s: %s", w.held, w.status.Phase, w.status.Message)
	}
}

func TestScaledToZeroEndsTrial(t *testing.T) {
	for name, spec := range map[string]Spec{"pods": byPods(), "routed": routed()} {
		w := calmWorld(t, spec, good, Progressing)
		w.scale(0)
		w.run(10)
		if w.canary.Exists || w.weight > 0 {
			t.Errorf("%s: scaled to 0, the canary is left at weight %s: %+v", name, w.weight, w.canary)
		}
	}
}

func TestFewerStepsNeedVerdict(t *testing.T) {
	w := calmWorld(t, byPods(), good, Progressing)
	w.status.Step = 1
	w.spec.Steps = w.spec.Steps[:1]
	s := w.snapshot()
	for _, verdict := range []Verdict{{Outcome: Inconclusive}, {Outcome: Inconclusive, Freeze: true}, {}} {
		s.Verdict = verdict
		if plan := Decide(s, w.now); plan.Status.Phase == Finalising {
			t.Errorf("verdict %+v rolls the revision out, because the steps were cut short", verdict)
		}
	}
	s.Verdict = Verdict{Outcome: Pass}
	if plan := Decide(s, w.now); plan.Status.Phase != Finalising {
		t.Errorf("with a verdict that passes and no step left it is %s", plan.Status.Phase)
	}
}

// TestDeletionDoesNotLetRejectedLoose states that a Rollout that is deleted
// while a failed revision is held gives the workload stable's template back.
func TestDeletionDoesNotLetRejectedLoose(t *testing.T) {
	w := calmWorld(t, routed(), errs, RolledBack)
	w.deleted = true
	for range 30 {
		if !w.gone {
			w.happen()
			w.reconcile()
		}
	}
	w.happen()
	if !w.gone || w.labelled || w.held || w.wanted != "a" || w.pods["b"] > 0 {
		t.Errorf("gone %t, label %t, held %t, wants %s, runs %v", w.gone, w.labelled, w.held, w.wanted, w.pods)
	}
}

// TestDeletionWaitsForRoute states that the Rollout, and with it the Services
// that a route names, does not go while the route cannot be read.
func TestDeletionWaitsForRoute(t *testing.T) {
	w := calmWorld(t, routed(), good, Healthy)
	w.deleted = true
	s := w.snapshot()
	s.Route = Route{Unknown: "the API server is away"}
	for range 2 {
		plan := Decide(s, w.now)
		if plan.Action.Do != ReleaseRoute {
			t.Errorf("while the route is not known it does %q: %s", plan.Action.Do, plan.Action.Reason)
		}
		s.Status, s.Workload.Labelled, s.Workload.Held = plan.Status, false, false
	}
}

func TestPausedByHandIsSaid(t *testing.T) {
	w := calmWorld(t, routed(), good, Finalising)
	s := w.snapshot()
	s.Services.Narrow, s.Workload.Held, s.Workload.Paused, s.Workload.RolledOut = false, false, true, false
	plan := Decide(s, w.now.Add(heartbeat))
	if plan.Health != Stuck || !strings.Contains(plan.Status.Message, "paused by hand") || plan.RequeueAfter == 0 {
		t.Errorf("%s, looks again after %s: %s", plan.Health, plan.RequeueAfter, plan.Status.Message)
	}
	s.Status.Phase, s.Status.Failure = RollingBack, "a test"
	s.Workload.Wanted, s.Workload.OnCanary = s.Status.Stable, 1
	s.Canary, s.Route.Weight = Canary{}, 0
	if plan := Decide(s, w.now.Add(heartbeat)); plan.Health != Stuck || !strings.Contains(plan.Status.Message, "paused by hand") {
		t.Errorf("on its way back: %s: %s", plan.Health, plan.Status.Message)
	}
}

func TestResumedByHandAfterFailureIsSaid(t *testing.T) {
	w := calmWorld(t, byPods(), errs, RolledBack)
	w.held = false
	plan := Decide(w.snapshot(), w.now)
	if !strings.Contains(plan.Status.Message, "which failed, because somebody resumed it by hand") {
		t.Errorf("it says: %s", plan.Status.Message)
	}
}

// TestBakeCanBeEnded states that a person can end a bake whose source of
// metrics does not come back.
func TestBakeCanBeEnded(t *testing.T) {
	w := calmWorld(t, baked(byPods()), good, Baking)
	w.ask(Promote)
	s := w.snapshot()
	s.Verdict = Verdict{Outcome: Inconclusive, Freeze: true, NeedsPerson: true, Message: "the source is away"}
	plan := Decide(s, w.now)
	if plan.Status.Phase != Healthy || plan.Status.Stable.TemplateHash != "b" || plan.Event == nil || plan.Event.Reason != "BakeEnded" {
		t.Errorf("it is %s on %s: %+v", plan.Status.Phase, plan.Status.Stable.TemplateHash, plan.Event)
	}
	s.Verdict = Verdict{Outcome: Fail, Message: "it is bad"}
	if plan := Decide(s, w.now); plan.Status.Phase != RollingBack {
		t.Errorf("a failing bake that is promoted is %s", plan.Status.Phase)
	}
}

// TestRouteIsMissedBeforeTrial states that a route that is not there, or cannot
// be read, is said at rest, and not only by a trial that waits for it.
func TestRouteIsMissedBeforeTrial(t *testing.T) {
	w := calmWorld(t, routed(), good, Healthy)
	for want, route := range map[Health]Route{
		Stuck:   {Missing: true, Released: true, Message: "there is no HTTPRoute"},
		Working: {Unknown: "the API server is away"},
		Good:    {Released: true, Reached: true},
	} {
		s := w.snapshot()
		s.Route, s.Workload.Wanted, s.Workload.RolledOut = route, s.Workload.Running, true
		s.Workload.Held, s.Workload.Paused = false, false
		plan := Decide(s, w.now)
		if plan.Health != want || !strings.Contains(plan.Status.Message, route.Message+route.Unknown) || plan.Status.Phase != Healthy {
			t.Errorf("%s, %s, want %s: %s", plan.Status.Phase, plan.Health, want, plan.Status.Message)
		}
	}
}
