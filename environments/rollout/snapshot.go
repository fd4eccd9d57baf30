package rollout

import (
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Snapshot is all that Decide looks at.
type Snapshot struct {
	Spec       Spec
	Workload   Workload
	Autoscaler Autoscaler
	Canary     Canary
	Services   Services
	Route      Route
	Verdict    Verdict
	Request    Request
	Status     Status
	// Deleting says that the Rollout is being deleted: everything is given back.
	Deleting bool
}

// Spec is what the user asks for.
type Spec struct {
	// Workload for messages, as kind/name.
	Workload string
	Steps    []Step
	// Routed says that a route carries the weights; pods share the traffic by
	// their number otherwise.
	Routed bool
	// Paused stops the clock of the step; a failure still fails.
	Paused bool
	// Bake is how long the checks go on after the rollout.
	Bake time.Duration
	// Drain is how long the canary's pods are kept without traffic.
	Drain time.Duration
	// Deadline of a whole trial; 0 means none.
	Deadline time.Duration
	// Interval between two looks.
	Interval time.Duration
	// InconclusiveLimit is how long the verdict of a trial may stay Inconclusive
	// until a person is asked; 0 means that nobody is.
	InconclusiveLimit time.Duration
}

// Until says what ends a step.
type Until string

// What ends a step; the empty Until is its duration.
const (
	UntilEvidence Until = "Evidence"
	UntilApproval Until = "Approval"
)

// Step is one weight and what ends it.
type Step struct {
	Weight   environments.Weight
	Duration time.Duration
	Until    Until
	// Least is how long a step UntilEvidence lasts however soon there is evidence.
	Least time.Duration
	// AdvanceOnTimeout goes on where UntilEvidence has not enough by Duration.
	AdvanceOnTimeout bool
	// Replicas that the canary needs for Weight, as the router plans.
	Replicas int32
}

// Workload is the user's workload as it was observed.
type Workload struct {
	Exists bool
	// Labelled says that the admission policy holds new revisions of it, and that
	// no other mark is left on it than it needs.
	Labelled bool
	// Marked says that it bears a mark of Serin at all.
	Marked bool
	// Held says that the policy paused it, and nobody resumed it since.
	Held bool
	// Paused says that it is paused, by whomever.
	Paused bool
	// Wanted is the pod template that it has now.
	Wanted Revision
	// Running is the revision that most of its pods run.
	Running Revision
	// OnCanary is how many of its own pods run the revision on trial.
	OnCanary int32
	// OnStable is how many of its own pods run the stable revision.
	OnStable int32
	// StableKept says that the template of the revision in Status.Stable can
	// still be read, so that the workload can be returned to it.
	StableKept bool
	// KeepsNone says that it keeps no ReplicaSet of a revision before, and
	// StableTemplate is then the template of stable's, as long as it is there.
	KeepsNone      bool
	StableTemplate string
	// RolledOut says that all of its pods run Wanted and are available.
	RolledOut bool
	// Replicas that it wants.
	Replicas int32
	// Failed is the native controller's own word that it makes no progress.
	Failed string
	// Obstacle of its own new pods.
	Obstacle Obstacle
}

// Obstacle is what keeps pods from coming up though it says nothing of their
// revision; the zero Obstacle is none.
type Obstacle struct {
	// Reason is a stable token.
	Reason string
	// Message says what is in the way and, where it is known, what to do.
	Message string
}

// found says whether there is one.
func (o Obstacle) found() bool { return o.Reason != "" }

// Obstacles, as their reason.
const (
	// NoRoom: no node takes the pod.
	NoRoom = "NoRoom"
	// PodsRefused: the API server takes no more pods, such as for a quota.
	PodsRefused = "PodsRefused"
	// ImageSourceAway: an image cannot be pulled now, for a cause that is not its own.
	ImageSourceAway = "ImageSourceAway"
	// RouteMissing: the route, or its rule for the workload's Service, is not
	// there.
	RouteMissing = "RouteMissing"
	// RouteRefused: a Gateway does not take the route.
	RouteRefused = "RouteRefused"
	// EndpointsMissing: the canary's Service leads to none of its ready pods.
	EndpointsMissing = "EndpointsMissing"
)

// Autoscaler is the HorizontalPodAutoscaler of the workload.
type Autoscaler struct {
	Exists bool
	// Held says that Serin raised its floor and remembers, on it, what it was.
	Held bool
	// Floor is the least number of replicas that it keeps, Ceiling the greatest.
	Floor, Ceiling int32
	// Reset says that another writer lowered the floor after Serin raised it.
	Reset bool
}

// Canary is the canary Deployment as it was observed.
type Canary struct {
	Exists   bool
	Deleting bool
	// TemplateHash of the revision that it runs.
	TemplateHash string
	// Replicas that it wants.
	Replicas int32
	// Pods in order of their names; those on their way out are left out.
	Pods []Pod
	// Obstacle of its pods, those that could not be made included.
	Obstacle Obstacle
	// Ending names its pods that are late on their way out, for people.
	Ending string
	// Stranded says that it is being deleted, and that all its pods left are on
	// nodes that do not answer: nobody can end them now.
	Stranded bool
}

// Pod is one pod of the canary.
type Pod struct {
	Name string
	// ContainersReady is readiness without regard to the gate.
	ContainersReady bool
	// Open says that the gate is open.
	Open bool
	// Ready says that it is, gate and containers, and ReadySince since when.
	Ready      bool
	ReadySince time.Time
	// Unlisted says that the Service that a route leads to does not send it
	// requests yet.
	Unlisted bool
}

// Services are those that Serin owns.
type Services struct {
	Exist bool
	// Narrow says that the one of stable selects the stable revision alone, so
	// that the canary's pods get no part of stable's share.
	Narrow bool
	// Behind says that the one of stable leads to no pod yet though some of the
	// workload's own are ready: a route that named it now would find nobody there.
	Behind bool
	// LeadsToCanary says that the one of the canary still leads to a pod, and so
	// may the user's own, which selects the canary's pods too.
	LeadsToCanary bool
}

// Route is what the router sees.
type Route struct {
	// Unknown says why it could not be read; the other fields mean nothing then.
	Unknown string
	// Missing says that it, or its rule for the workload's Service, is not
	// there; Message says what to do.
	Missing bool
	// Refused says that a Gateway does not take it as it is; Message says why.
	Refused  bool
	Weight   environments.Weight
	Reached  bool
	Released bool
	Foreign  bool
	Message  string
}

// Outcome is what the judge says.
type Outcome string

// The outcomes; the empty one means that nothing was looked at.
const (
	Pass         Outcome = "Pass"
	Fail         Outcome = "Fail"
	Inconclusive Outcome = "Inconclusive"
)

// Verdict on the canary.
type Verdict struct {
	Outcome Outcome
	// Proven says that there is evidence that the canary is good.
	Proven bool
	// Freeze says that a source is away: the clocks stand still.
	Freeze bool
	// NeedsPerson says that waiting longer will not help.
	NeedsPerson bool
	Message     string
	// Evidence is a line for each check.
	Evidence []string
}

// Verb is what a person asks for.
type Verb string

// The verbs.
const (
	// Abort fails the trial.
	Abort Verb = "abort"
	// Pause stops the clock; Resume lets it go on, and approves a step that
	// waits for it.
	Pause  Verb = "pause"
	Resume Verb = "resume"
	// Skip ends the step as soon as the verdict passes.
	Skip Verb = "skip"
	// Promote leaves out all further steps.
	Promote Verb = "promote"
	// Retry tries the revision that failed once more.
	Retry Verb = "retry"
)

// Request of a person. ID tells two of them apart; the empty ID is none.
type Request struct {
	ID     string
	Verb   Verb
	By     string
	Reason string
}

// open counts the pods that are admitted.
func (c Canary) open() int32 {
	var n int32
	for _, p := range c.Pods {
		if p.Open {
			n++
		}
	}
	return n
}

// Serving counts the pods that Services send requests to.
func (c Canary) Serving() int32 {
	var n int32
	for _, p := range c.Pods {
		if p.Open && p.Ready && !p.Unlisted {
			n++
		}
	}
	return n
}

// lingers says whether a pod whose gate is closed still counts as ready: its
// kubelet has not come to it.
func (c Canary) lingers() bool {
	for _, p := range c.Pods {
		if p.Ready && !p.Open {
			return true
		}
	}
	return false
}

// up counts the pods whose containers are ready.
func (c Canary) up() int32 {
	var n int32
	for _, p := range c.Pods {
		if p.ContainersReady {
			n++
		}
	}
	return n
}
