package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// onRoute is a routed trial that has reached 20% in its first step.
func onRoute() Snapshot {
	s := inStep(Step{Weight: 20, Duration: time.Minute, Replicas: 1}, time.Second)
	s.Spec.Routed, s.Services = true, Services{Exist: true, Narrow: true}
	s.Route = Route{Weight: 20, Reached: true}
	return s
}

// TestResetRouteIsMended states that a route that another writer set back to the
// user's Service, behind which admitted canary pods get a share by their number,
// names the pair again whatever the verdict, and that it does so at a weight that
// the verdict allows.
func TestResetRouteIsMended(t *testing.T) {
	reset := Route{Released: true, Reached: true, Foreign: true, Message: "HTTPRoute web does not carry the 20% that was set"}
	for name, test := range map[string]struct {
		change func(*Snapshot)
		weight int
	}{
		"passes":               {func(*Snapshot) {}, 20},
		"inconclusive":         {func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive} }, 0},
		"frozen":               {func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive, Freeze: true} }, 0},
		"paused":               {func(s *Snapshot) { s.Spec.Paused = true }, 20},
		"paused, inconclusive": {func(s *Snapshot) { s.Spec.Paused, s.Verdict = true, Verdict{Outcome: Inconclusive} }, 0},
		"a pod is away":        {func(s *Snapshot) { s.Canary.Pods[0].ContainersReady, s.Canary.Pods[0].Ready = false, false }, 0},
		"the floor is reset too": {func(s *Snapshot) {
			s.Autoscaler = Autoscaler{Exists: true, Held: true, Floor: 1, Ceiling: 9, Reset: true}
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := onRoute()
			s.Route = reset
			test.change(&s)
			plan := Decide(s, s.Status.ClockAt.Add(time.Second))
			if plan.Action.Do != SetWeight || int(plan.Action.Weight) != test.weight || int(plan.Status.Weight) != test.weight {
				t.Errorf("it does %+v at %s, want the weight set to %d", plan.Action, plan.Status.Weight, test.weight)
			}
			if plan.Status.Resets != 1 || plan.Event == nil || plan.Event.Reason != "RouteReset" {
				t.Errorf("counted %d, event %+v", plan.Status.Resets, plan.Event)
			}
		})
	}
}

// TestRaisedWeightIsLowered states that a weight that another writer raised goes
// down to what was set, whatever the verdict, and before anything else.
func TestRaisedWeightIsLowered(t *testing.T) {
	for name, change := range map[string]func(*Snapshot){
		"passes":       func(*Snapshot) {},
		"inconclusive": func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive} },
		"paused":       func(s *Snapshot) { s.Spec.Paused = true },
		"not yet at the step's weight": func(s *Snapshot) {
			s.Spec.Steps[0].Weight, s.Status.StepStarted = 90, time.Time{}
			s.Verdict = Verdict{Outcome: Inconclusive}
		},
		"a pod is away":    func(s *Snapshot) { s.Canary.Pods[0].ContainersReady = false },
		"the label is off": func(s *Snapshot) { s.Workload.Labelled = false },
	} {
		s := onRoute()
		s.Route = Route{Weight: 80, Reached: true, Foreign: true}
		change(&s)
		if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do != SetWeight || plan.Action.Weight != 20 {
			t.Errorf("%s: it does %+v, want the weight set to 20", name, plan.Action)
		}
	}
}

// TestCanaryShrinksWithStable states that where pods share the traffic by their
// number, the canary does not grow in share because stable was scaled down.
func TestCanaryShrinksWithStable(t *testing.T) {
	s := inStep(Step{Weight: 50, Duration: time.Minute, Replicas: 2}, time.Second)
	s.Canary.Replicas, s.Canary.Pods = 8, nil
	for _, name := range strings.Split("abcdefgh", "") {
		s.Canary.Pods = append(s.Canary.Pods, Pod{Name: name, ContainersReady: true, Open: true, Ready: true})
	}
	s.Workload.Replicas = 2
	for name, change := range map[string]func(*Snapshot){
		"passes":       func(*Snapshot) {},
		"inconclusive": func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive} },
		"paused":       func(s *Snapshot) { s.Spec.Paused = true },
	} {
		s := s
		change(&s)
		if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do != ScaleCanary || plan.Action.Replicas != 2 {
			t.Errorf("%s: it does %+v, want a canary of 2", name, plan.Action)
		}
	}
	s.Spec.Routed, s.Services = true, Services{Exist: true, Narrow: true}
	s.Route = Route{Weight: 20, Reached: true}
	if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do == ScaleCanary {
		t.Errorf("with a route, whose weights do not depend on it, it does %+v", plan.Action)
	}
}

// TestRouteGoneWhileItFinishes states that a route that was deleted does not keep
// a canary that is not needed any more.
func TestRouteGoneWhileItFinishes(t *testing.T) {
	s := onRoute()
	s.Status.Phase, s.Services.Narrow = Finalising, false
	s.Workload.Held, s.Workload.Paused, s.Workload.RolledOut, s.Workload.Running = false, false, true, s.Workload.Wanted
	s.Route = Route{Missing: true, Released: true, Message: "there is no HTTPRoute"}
	if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do != StopTraffic {
		t.Errorf("it does %+v: %s", plan.Action, plan.Status.Message)
	}
}

// TestServicesAreMadeAgainWhileItRolls states that the Services that the route
// names are put back also after the last step.
func TestServicesAreMadeAgainWhileItRolls(t *testing.T) {
	s := onRoute()
	s.Status.Phase, s.Services = Finalising, Services{}
	s.Workload.Held, s.Workload.Paused = false, false
	if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do != EnsureServices || plan.Action.Narrow {
		t.Errorf("it does %+v: %s", plan.Action, plan.Status.Message)
	}
}

// TestUnreadableRouteDoesNotKeepFailedRevision states that the workload's own bad
// pods go also while the route cannot be read, once no gate is open.
func TestUnreadableRouteDoesNotKeepFailedRevision(t *testing.T) {
	s := onRoute()
	s.Status.Phase, s.Status.Failure = RollingBack, "it crashed"
	s.Workload.Held, s.Workload.Paused, s.Workload.OnCanary = false, false, 2
	s.Route = Route{Unknown: "conversion webhook does not answer"}
	if plan := Decide(s, s.Status.ClockAt); plan.Action.Do != StopTraffic {
		t.Errorf("with a gate open it does %+v", plan.Action)
	}
	s.Canary.Pods[0].Open = false
	if plan := Decide(s, s.Status.ClockAt); plan.Action.Do != ReturnToStable {
		t.Errorf("with all gates closed it does %+v", plan.Action)
	}
	s.Workload.OnCanary = 0
	if plan := Decide(s, s.Status.ClockAt); plan.Action.Do != StopTraffic {
		t.Errorf("with the workload on stable it does %+v", plan.Action)
	}
}

// TestDeletionWaitsForGateway states that the Services that a route named stay
// until its Gateway has taken the route that names them no more, within bounds.
func TestDeletionWaitsForGateway(t *testing.T) {
	s := onRoute()
	s.Deleting = true
	s.Canary = Canary{}
	s.Workload.Held, s.Workload.Paused, s.Workload.Labelled, s.Workload.Marked = false, false, false, false
	s.Route = Route{Released: true, Message: "Gateway web has not taken generation 3 of the route yet"}
	now := s.Status.ClockAt
	plan := Decide(s, now)
	if plan.Action.Do != Nothing || !strings.Contains(plan.Status.Message, "generation 3") || plan.RequeueAfter == 0 {
		t.Errorf("it does %+v: %s", plan.Action, plan.Status.Message)
	}
	s.Status = plan.Status
	if plan := Decide(s, now.Add(routeLag)); plan.Action.Do != LetGo {
		t.Errorf("of a Gateway that does not report it is %+v", plan.Action)
	}
	s.Route.Reached = true
	if plan := Decide(s, now); plan.Action.Do != LetGo {
		t.Errorf("once the Gateway has it, it does %+v", plan.Action)
	}
}

// TestClockSetBack states that a clock that jumps back, as after a change of
// leader, stops no clock and no drain for longer than it would take anew.
func TestClockSetBack(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: 30 * time.Second, Replicas: 1}, time.Second)
	now := s.Status.ClockAt.Add(-time.Hour)
	for range 40 {
		s.Status = Decide(s, now).Status
		now = now.Add(time.Second)
	}
	if s.Status.Step != 1 {
		t.Errorf("40 s after the clock was set back an hour the step of 30 s is not over: clock %s", s.Status.Clock)
	}
	s.Status.Phase, s.Status.Failure = RollingBack, "it crashed"
	s.Canary.Pods = nil
	s.Status.DrainStarted = now.Add(time.Hour)
	plan := Decide(s, now)
	if plan.RequeueAfter > s.Spec.Drain {
		t.Errorf("it drains for %s", plan.RequeueAfter)
	}
	s.Status = plan.Status
	if plan := Decide(s, now.Add(s.Spec.Drain)); plan.Action.Do != DeleteCanary {
		t.Errorf("after the drain it does %+v", plan.Action)
	}
}

// TestLooksFarApartCount states that a step takes its duration also where looks
// are further apart than the longest time without one that counts.
func TestLooksFarApartCount(t *testing.T) {
	s := inStep(Step{Weight: 20, Duration: 10 * time.Minute, Replicas: 1}, 0)
	s.Spec.Interval = 2 * time.Minute
	now := s.Status.ClockAt
	for range 5 {
		now = now.Add(s.Spec.Interval)
		s.Status = Decide(s, now).Status
	}
	if s.Status.Step != 1 {
		t.Errorf("after 10 minutes of looks two minutes apart the clock is at %s", s.Status.Clock)
	}
}

// TestRejectedThatServesIsStable states that a trial is compared with what
// serves, and that no Service is narrowed to a revision without pods: a person
// resumed a revision that failed, and it runs everywhere when the next one comes.
func TestRejectedThatServesIsStable(t *testing.T) {
	w := calmWorld(t, routed(), errs, RolledBack)
	w.run(20)
	w.held = false
	w.pods = map[string]int32{"b": 4}
	// One of its pods is not available, so that it never counts as rolled out.
	w.unavailable = true
	w.run(3)
	w.push("c", good)
	for range 20 {
		w.happen()
		w.reconcile()
		w.serves()
	}
	if w.status.Stable.TemplateHash != "b" && w.status.Stable.TemplateHash != "c" {
		t.Errorf("stable is %s, which has no pod: %+v", w.status.Stable.TemplateHash, w.status)
	}
}

// TestPutOffRevisionIsTold states that a person hears of it where the return from
// a failed revision takes the template of a third one away.
func TestPutOffRevisionIsTold(t *testing.T) {
	w := calmWorld(t, baked(byPods()), late, RollingBack)
	w.pods = map[string]int32{"a": 2, "b": 2}
	w.push("c", good)
	plan := Decide(w.snapshot(), w.now)
	for plan.Action.Do == StopTraffic {
		w.reconcile()
		plan = Decide(w.snapshot(), w.now)
	}
	if plan.Action.Do != ReturnToStable || plan.Event == nil || plan.Event.Reason != "RevisionPutOff" || !strings.Contains(plan.Event.Message, "app:c") {
		t.Errorf("it does %+v, event %+v", plan.Action, plan.Event)
	}
}

// TestRejectedDoesNotComeBackFromZero states that a revision that failed while
// the workload rolled to it, and is held since, is taken back where scaling to 0
// and up again brought it up.
func TestRejectedDoesNotComeBackFromZero(t *testing.T) {
	w := calmWorld(t, baked(byPods()), late, RolledBack)
	w.run(20)
	w.push("b", late)
	w.run(5)
	if w.status.Phase != RolledBack || !w.held {
		t.Fatalf("pushed again it is %s, held %t: %s", w.status.Phase, w.held, w.status.Message)
	}
	w.pods = map[string]int32{"b": 4}
	w.run(20)
	if w.pods["a"] != 4 || w.status.Stable.TemplateHash != "a" {
		t.Errorf("it runs %v with stable %s: %s", w.pods, w.status.Stable.TemplateHash, w.status.Message)
	}
}

// TestWeightFollowsLostPods states that a canary that lost most of its pods, such
// as with a node, is not given what all of them would serve, and that a single one
// that is away changes nothing.
func TestWeightFollowsLostPods(t *testing.T) {
	pods := func(serving int) []Pod {
		var all []Pod
		for i, name := range strings.Split("abcdefgh", "") {
			all = append(all, Pod{Name: name, ContainersReady: i < serving, Open: i < serving, Ready: i < serving})
		}
		return all
	}
	for name, test := range map[string]struct {
		serving      int
		weight, want int
		change       func(*Snapshot)
	}{
		"all":              {8, 80, 80, nil},
		"half":             {4, 80, 80, nil},
		"most are away":    {2, 80, 20, nil},
		"while paused":     {2, 80, 20, func(s *Snapshot) { s.Spec.Paused = true }},
		"inconclusive":     {2, 80, 20, func(s *Snapshot) { s.Verdict = Verdict{Outcome: Inconclusive} }},
		"none":             {0, 80, 0, nil},
		"before the rise":  {2, 20, 20, nil},
		"lost before that": {1, 60, 10, nil},
		"while it rolls": {2, 80, 20, func(s *Snapshot) {
			s.Status.Phase, s.Services.Narrow, s.Workload.Held, s.Workload.Paused = Finalising, false, false, false
		}},
	} {
		s := onRoute()
		s.Spec.Steps[0].Weight, s.Spec.Steps[0].Replicas, s.Workload.Replicas = 80, 8, 10
		s.Canary.Replicas, s.Canary.Pods = 8, pods(test.serving)
		s.Route.Weight, s.Status.Weight = environments.Weight(test.weight), environments.Weight(test.weight)
		if test.change != nil {
			test.change(&s)
		}
		got := test.weight
		if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do == SetWeight {
			got = int(plan.Action.Weight)
		}
		if got != test.want {
			t.Errorf("%s: with %d of 8 pods the weight goes from %d to %d, want %d", name, test.serving, test.weight, got, test.want)
		}
	}
}

// TestRouteWaitsForStable states that a route does not name the pair before the
// Service of stable lists pods: all traffic would find nobody there.
func TestRouteWaitsForStable(t *testing.T) {
	s := onRoute()
	s.Route, s.Status.Weight, s.Status.StepStarted = Route{Released: true, Reached: true}, 0, time.Time{}
	s.Canary.Pods[0].Open, s.Canary.Pods[0].Ready = false, false
	s.Services.Behind = true
	plan := Decide(s, s.Status.ClockAt.Add(time.Second))
	if plan.Action.Do != Nothing || plan.RequeueAfter == 0 || !strings.Contains(plan.Status.Message, "until the Service of stable leads to its pods") {
		t.Errorf("behind: it does %+v and says %q", plan.Action, plan.Status.Message)
	}
	s.Services.Behind = false
	if plan := Decide(s, s.Status.ClockAt.Add(time.Second)); plan.Action.Do != SetWeight || plan.Action.Weight != 0 {
		t.Errorf("listed: it does %+v, want the pair named at weight 0", plan.Action)
	}
}

// TestStoppedCanaryDoesNotReturn states that a route whose canary was stopped does
// not go back to the user's Service, which selects the canary's pods too, while
// this might still lead to them; and that a pod whose kubelet does not follow its
// gate goes first.
func TestStoppedCanaryDoesNotReturn(t *testing.T) {
	for name, change := range map[string]func(*Snapshot){
		"its pod still counts as ready": func(s *Snapshot) { s.Canary.Pods[0].Ready = true },
		"its Service still lists it":    func(s *Snapshot) { s.Services.LeadsToCanary = true },
	} {
		for phase, deleting := range map[Phase]bool{RollingBack: false, RolledBack: false, Progressing: true} {
			s := onRoute()
			s.Status.Phase, s.Status.Failure, s.Deleting = phase, "it is bad", deleting
			s.Canary.Pods[0].Open, s.Canary.Pods[0].Ready = false, false
			s.Route.Weight, s.Status.Weight = 0, 0
			change(&s)
			now := s.Status.ClockAt
			seen := ""
			for range 20 {
				plan := Decide(s, now)
				if plan.Action.Do == ReleaseRoute {
					t.Errorf("%s, %s: it gives the route back: %s", name, phase, plan.Action.Reason)
				}
				seen += string(plan.Action.Do) + " "
				s.Status, now = plan.Status, now.Add(time.Second)
				s.Canary.Deleting = s.Canary.Deleting || plan.Action.Do == DeleteCanary
			}
			if !s.Canary.Deleting {
				t.Errorf("%s, %s: the canary stays: %s", name, phase, seen)
			}
			s.Canary.Pods, s.Services.LeadsToCanary = nil, false
			if plan := Decide(s, now); plan.Action.Do != ReleaseRoute {
				t.Errorf("%s, %s: nothing leads to the canary, and it does %+v", name, phase, plan.Action)
			}
		}
	}
}

// TestGatesStayOpenUntilTheGatewayFollows states that a canary that did not fail
// is closed only when the gateway has taken weight 0, within bounds, and that one
// that failed is closed at once.
func TestGatesStayOpenUntilTheGatewayFollows(t *testing.T) {
	s := onRoute()
	s.Workload.Wanted = Revision{TemplateHash: "c"}
	now := s.Status.ClockAt
	plan := Decide(s, now)
	if plan.Action.Do != SetWeight || plan.Action.Weight != 0 || plan.Status.Phase != RollingBack {
		t.Fatalf("it does %+v in %s", plan.Action, plan.Status.Phase)
	}
	s.Status, s.Route = plan.Status, Route{Message: "Gateway web has not taken generation 4 of the route yet"}
	if plan := Decide(s, now.Add(time.Second)); plan.Action.Do != Nothing || plan.RequeueAfter == 0 {
		t.Errorf("before the gateway has followed it does %+v", plan.Action)
	}
	if plan := Decide(s, now.Add(routeLag)); plan.Action.Do != StopTraffic {
		t.Errorf("for a gateway that does not report it does %+v", plan.Action)
	}
	s.Route = Route{Reached: true}
	if plan := Decide(s, now.Add(time.Second)); plan.Action.Do != StopTraffic {
		t.Errorf("after the gateway has followed it does %+v", plan.Action)
	}
	s = onRoute()
	s.Verdict = Verdict{Outcome: Fail, Message: "it is bad"}
	if plan := Decide(s, now); plan.Action.Do != StopTraffic {
		t.Errorf("for one that failed it does %+v", plan.Action)
	}
}

// TestUnlistedPodIsAnObstacle states that a ready pod that its Service does not
// lead to holds the trial, and says so.
func TestUnlistedPodIsAnObstacle(t *testing.T) {
	s := onRoute()
	s.Status.StepStarted, s.Status.Phase = time.Time{}, Starting
	s.Route.Weight, s.Status.Weight = 0, 0
	now := s.Status.ClockAt
	s.Canary.Pods[0].Unlisted, s.Canary.Pods[0].ReadySince = true, now
	plan := Decide(s, now.Add(heartbeat))
	if plan.Action.Do != Nothing || plan.Status.ClockStopped != "" || !strings.Contains(plan.Status.Message, "0 of 1 canary pods serve (are ready, and listed by the Service of the canary)") {
		t.Errorf("soon after it does %+v, clock %q: %s", plan.Action, plan.Status.ClockStopped, plan.Status.Message)
	}
	plan = Decide(s, now.Add(routeLag+time.Second))
	if plan.Status.ClockStopped != ClockBlocked || plan.Health != Stuck || plan.Reason != EndpointsMissing || !strings.Contains(plan.Status.Message, "pod p is ready") {
		t.Errorf("later its clock is %q, %s for %q: %s", plan.Status.ClockStopped, plan.Health, plan.Reason, plan.Status.Message)
	}
}
