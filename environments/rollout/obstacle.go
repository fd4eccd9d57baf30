package rollout

import (
	"fmt"

	"github.com/serin-gitops/serin/environments"
)

// late says that the trial's time is over. Time in which its clock stood is not
// in it.
func (d *decision) late() bool {
	return d.Spec.Deadline > 0 && d.next.TrialClock > d.Spec.Deadline
}

// unready says whether canary pods are not ready for a cause of their own.
func (d *decision) unready() bool {
	return !d.Canary.Obstacle.found() && d.Canary.up() < int32(len(d.Canary.Pods))
}

// giveUp ends a trial that came to no verdict: the revision is held, and nothing
// is said against it.
func (d *decision) giveUp(why string) {
	d.next.Unfinished = why
	d.withdraw(why)
	d.tell("TrialUnfinished", true, "%s. Weight 0, %s serves, and nothing is held against %s", why, nameOf(d.next.Stable), nameOf(d.next.Canary))
}

// unfinished says that the workload wants the revision whose trial came to no
// verdict.
func (d *decision) unfinished() bool {
	return d.next.Unfinished != "" && d.Workload.Wanted.TemplateHash == d.next.Canary.TemplateHash
}

// restUnfinished keeps that revision held until a person asks.
func (d *decision) restUnfinished() Plan {
	d.next.enter(RolledBack, d.now)
	d.next.ClockStopped = ClockWaiting
	d.say("%s is held and %s serves, because %s. It is not rejected: mend that and retry, or change the image in Git, or abort to reject it",
		nameOf(d.next.Canary), nameOf(d.next.Stable), d.next.Unfinished)
	return d.rest(Stuck, "TrialUnfinished")
}

// obstacle is what the step under way waits for through no fault of the
// revision.
func (d *decision) obstacle() Obstacle {
	step, taken := d.current()
	switch {
	case !taken:
		return Obstacle{}
	case d.Spec.Routed && d.Route.Missing:
		return Obstacle{Reason: RouteMissing, Message: d.Route.Message}
	case d.Spec.Routed && d.Route.Refused && d.Canary.Exists:
		return Obstacle{Reason: RouteRefused, Message: d.Route.Message}
	case d.Canary.Exists && !d.Canary.Deleting && d.Canary.up() < max(step.Replicas, 1):
		return d.Canary.Obstacle
	}
	return d.unlisted()
}

// unlisted says that a ready pod of the canary does not get behind its Service.
func (d *decision) unlisted() Obstacle {
	for _, p := range d.Canary.Pods {
		if p.Open && p.Ready && p.Unlisted && d.now.Sub(p.ReadySince) > routeLag {
			return Obstacle{Reason: EndpointsMissing, Message: fmt.Sprintf(
				"pod %s is ready, and the Service of the canary leads no port to it: compare targetPort of the Service with the ports of the pod, and see whether the EndpointSlices follow", p.Name)}
		}
	}
	return Obstacle{}
}

// heldUp shows, and tells once, that a trial cannot go on without help.
func (d *decision) heldUp(plan Plan) Plan {
	was, is := d.Status.ClockStopped, d.next.ClockStopped
	switch {
	case is == ClockBlocked:
		o := d.obstacle()
		d.say("step %s is held, and not for a fault of %s: %s", d.step(), nameOf(d.next.Canary), o.Message)
		plan.Health, plan.Reason = Stuck, o.Reason
		if was != ClockBlocked {
			d.tell("TrialBlocked", true, "step %s is held: %s. It goes on by itself once that is mended; abort it to end the trial", d.step(), o.Message)
		}
	case d.Verdict.NeedsPerson && is == ClockFrozen:
		plan.Health, plan.Reason = Stuck, "NeedsPerson"
		if d.Status.Phase != Paused {
			d.tell("TrialBlocked", true, "step %s is held: %s", d.step(), d.Verdict.Message)
		}
	case is == ClockWaiting && d.undecided():
		d.say("step %s: no verdict for %s, so it waits for a person: mend what the checks lack, resume to wait as long again, or promote or abort it. %s",
			d.step(), environments.Span(d.Spec.InconclusiveLimit), d.Verdict.Message)
		plan.Health, plan.Reason = Stuck, "NeedsPerson"
		if was != ClockWaiting {
			d.tell("TrialBlocked", true, "%s", d.next.Message)
		}
	case was == ClockBlocked && is == "" && d.event == nil:
		d.tell("TrialGoesOn", false, "step %s goes on: what it waited for is there", d.step())
	}
	return plan
}

// floor is how many pods of stable an autoscaler has to keep: those that it runs.
func (d *decision) floor() int32 {
	if d.Autoscaler.Ceiling > 0 {
		return min(d.Workload.Replicas, d.Autoscaler.Ceiling)
	}
	return d.Workload.Replicas
}

// floorCure is for another writer of an autoscaler's floor.
const floorCure = "leave minReplicas to Serin during a trial: with Flux leave it out of the manifest, with Argo CD list /spec/minReplicas in ignoreDifferences, with KEDA raise minReplicaCount of the ScaledObject"

// holdFloor keeps stable at its size: the canary takes load from it, and an
// abort at any weight has to find it whole. Another writer that resets the floor
// is counted and told of.
func (d *decision) holdFloor() Plan {
	plan := d.do(Action{Do: HoldFloor, Replicas: d.floor(), Reason: "stable keeps its size while the canary takes traffic from it"})
	if !d.Autoscaler.Reset {
		return plan
	}
	d.next.FloorResets++
	d.say("step %s is held: another writer set minReplicas of the autoscaler to %d, below the %d pods of stable (%d times in this trial); %s",
		d.step(), d.Autoscaler.Floor, d.floor(), d.next.FloorResets, floorCure)
	d.tell("FloorReset", true, "%s", d.next.Message)
	plan.Health, plan.Reason = Stuck, "FloorReset"
	return plan
}

// ending waits for a canary that is being deleted, but not for pods that nobody
// can end.
func (d *decision) ending(what string) Plan {
	if d.Canary.Stranded {
		d.tell("CanaryAbandoned", true, "goes on without waiting for %s", d.Canary.Ending)
		return d.do(Action{Do: AbandonCanary, Reason: "its last pods are on nodes that do not answer: " + d.Canary.Ending})
	}
	d.say("%s", what)
	if d.Canary.Ending != "" {
		d.say("%s: waits for %s", what, d.Canary.Ending)
	}
	return d.wait()
}

// keepTemplate keeps stable's template where the workload itself would keep
// nothing to return to.
func (d *decision) keepTemplate() {
	w := d.Workload
	if !w.KeepsNone || w.StableTemplate == "" || d.next.StableTemplate != "" {
		return
	}
	d.next.StableTemplate = w.StableTemplate
	d.tell("StableTemplateKept", false,
		"%s keeps no ReplicaSet to return to (revisionHistoryLimit: 0), so its template is kept in the status of this Rollout until the trial is over", d.Spec.Workload)
}

// there says whether the route can be read and written.
func (r Route) there() bool { return r.Unknown == "" && !r.Missing }

// stuckOn shows an obstacle of the workload's own new pods.
func (d *decision) stuckOn(o Obstacle, doing string) Plan {
	d.say("%s, and is held up, not for a fault of %s: %s", doing, nameOf(d.next.Canary), o.Message)
	plan := d.wait()
	plan.Health, plan.Reason = Stuck, o.Reason
	return plan
}

// rolls says what the workload does once its canary passed.
func (d *decision) rolls() string {
	return fmt.Sprintf("%s rolls itself to %s, the canary keeps serving %s", d.Spec.Workload, nameOf(d.next.Canary), d.next.Weight)
}
