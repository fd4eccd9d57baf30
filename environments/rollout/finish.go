package rollout

import (
	"fmt"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// finalising lets the workload roll itself while the canary keeps serving its
// share, then takes the canary away. The Service of stable is widened first:
// stable's own pods are about to be replaced.
func (d *decision) finalising() Plan {
	w := d.Workload
	d.keepTemplate()
	switch {
	case d.Verdict.Outcome == Fail:
		d.fail(d.Verdict.Message)
		return d.stop()
	case !w.Exists:
		d.withdraw(d.Spec.Workload + " was deleted during the trial")
		return d.stop()
	case w.Wanted.TemplateHash != d.next.Canary.TemplateHash:
		d.withdraw(nameOf(w.Wanted) + " takes the place of " + nameOf(d.next.Canary) + ": the trial ends")
		return d.stop()
	case w.Failed != "" && !w.Obstacle.found():
		d.fail(fmt.Sprintf("%s did not roll out: %s", d.Spec.Workload, w.Failed))
		return d.stop()
	case d.Spec.Routed && (!d.Services.Exist || d.Services.Narrow):
		return d.guard(d.do(Action{Do: EnsureServices, Reason: "pods of both revisions belong to stable from now on"}))
	case w.Held:
		return d.guard(d.do(Action{Do: Unhold, Reason: "its canary passed"}))
	case w.Paused:
		return d.guard(d.pausedAmid())
	case !w.RolledOut && w.Obstacle.found():
		return d.guard(d.stuckOn(w.Obstacle, d.rolls()))
	case !w.RolledOut:
		d.say("%s", d.rolls())
		return d.guard(d.wait())
	}
	if plan, under := d.retire(); under {
		return plan
	}
	return d.finished()
}

// pausedAmid says that the workload cannot roll, because a person paused it.
func (d *decision) pausedAmid() Plan {
	d.say("%s was paused by hand while it rolls: resume it", d.Spec.Workload)
	plan := d.wait()
	plan.Health, plan.Reason = Stuck, pausedByHand
	return plan
}

// retire takes a canary that is not needed any more out of traffic, drains it
// and deletes it; it says whether that is still under way.
func (d *decision) retire() (Plan, bool) {
	reason := "the trial is over"
	switch {
	case d.releasable():
		return d.do(Action{Do: ReleaseRoute, Reason: reason}), true
	case d.Spec.Routed && !d.Route.Missing && d.next.Phase == Finalising && d.Canary.open() > 0 && !d.Route.Reached:
		d.say("waits until the gateway sends nothing to the canary any more: %s", d.Route.Message)
		return d.wait(), true
	case d.exposed():
		return d.do(Action{Do: StopTraffic, Reason: reason}), true
	case !d.Canary.Exists:
		return Plan{}, false
	case d.next.DrainStarted.IsZero(), d.now.Before(d.next.DrainStarted):
		d.next.DrainStarted, d.next.Weight = d.now, 0
	}
	if left := d.drains(); left > 0 {
		d.say("the canary finishes its requests for %s", environments.Span(d.Spec.Drain))
		plan := d.wait()
		plan.RequeueAfter = left
		return plan, true
	}
	if d.Canary.Deleting {
		return d.ending("the canary's pods end"), true
	}
	return d.do(Action{Do: DeleteCanary, Reason: reason}), true
}

// returns says whether the user's own Service, given the route back, might lead to
// pods of a canary that was taken out of traffic: it selects them too, and drops
// them only when kubelet and endpoints have followed the gates. On a node that
// hangs, that is when they are deleted.
func (d *decision) returns() bool {
	return d.next.Phase != Finalising && d.Canary.Exists && d.Canary.open() == 0 && (d.Canary.lingers() || d.Services.LeadsToCanary)
}

// releasable says whether the route is to be given back now.
func (d *decision) releasable() bool {
	return d.Spec.Routed && d.Route.Unknown == "" && !d.Route.Released && !d.returns()
}

// routeLag is how long what follows a route or a gate late is waited for: a gateway
// that does not report (with a drain, so much longer), and endpoints.
const routeLag = 30 * time.Second

// drains is how long the canary's pods are still kept.
func (d *decision) drains() time.Duration {
	left := d.Spec.Drain - d.now.Sub(d.next.DrainStarted)
	if d.Spec.Routed && (d.Route.Unknown != "" || !d.Route.Reached) {
		left += routeLag
	}
	return left
}

// finished begins the bake, or ends the rollout where there is none.
func (d *decision) finished() Plan {
	d.next.Weight = 0
	if d.Spec.Bake > 0 {
		d.next.enter(Baking, d.now)
		d.next.StepStarted, d.next.Clock = d.now, 0
		d.say("%s runs %s; it is watched for %s", d.Spec.Workload, nameOf(d.next.Canary), environments.Span(d.Spec.Bake))
		d.tell("Baking", false, "%s runs %s; it is watched for %s", d.Spec.Workload, nameOf(d.next.Canary), environments.Span(d.Spec.Bake))
		return d.wait()
	}
	return d.succeed()
}

// succeed makes the new revision the stable one.
func (d *decision) succeed() Plan {
	d.next.Stable = d.next.Canary
	if d.Workload.Running.TemplateHash == d.next.Canary.TemplateHash {
		d.next.Stable = d.Workload.Running
	}
	d.next.Weight, d.next.StepStarted, d.next.ClockStopped, d.next.StableTemplate = 0, time.Time{}, "", ""
	d.next.enter(Healthy, d.now)
	d.say("%s runs %s", d.Spec.Workload, nameOf(d.next.Stable))
	d.tell("Succeeded", false, "%s runs %s", d.Spec.Workload, nameOf(d.next.Stable))
	plan := d.rest(Good, string(Healthy))
	plan.RequeueAfter = d.Spec.Interval
	return plan
}

// baking watches the new revision; a failure returns to the one before at once.
func (d *decision) baking() Plan {
	w := d.Workload
	d.next.ClockStopped = ""
	if d.Verdict.Freeze {
		d.next.ClockStopped = ClockFrozen
	}
	d.next.Verdict = d.Verdict.Outcome
	switch {
	case d.Verdict.Outcome == Fail:
		d.fail(d.Verdict.Message)
		return d.stop()
	case w.Failed != "" && !w.Obstacle.found():
		d.fail(fmt.Sprintf("%s does not stay up: %s", d.Spec.Workload, w.Failed))
		return d.stop()
	case !w.Exists:
		return d.succeed()
	case w.Wanted.TemplateHash == d.next.Stable.TemplateHash:
		d.withdraw(d.Spec.Workload + " is taken back to " + nameOf(d.next.Stable))
		return d.stop()
	case w.Wanted.TemplateHash != d.next.Canary.TemplateHash:
		return d.succeed()
	case d.next.Clock >= d.Spec.Bake && !d.Verdict.Freeze:
		d.keepEvidence()
		return d.succeed()
	}
	d.say("%s runs %s and is watched for %s; %s", d.Spec.Workload, nameOf(d.next.Canary), environments.Span(d.Spec.Bake), d.Verdict.Message)
	return d.wait()
}

// rollingBack takes everything of a trial away again. Traffic first; then, where
// the workload itself had begun to run the failed revision, its return; the
// canary last.
func (d *decision) rollingBack() Plan {
	// A route that cannot be read does not keep bad pods of the workload itself.
	if d.exposed() && (d.Route.Unknown == "" || d.Canary.open() > 0) {
		return d.stop()
	}
	if plan, under := d.takeBack(); under {
		return plan
	}
	if d.exposed() {
		return d.do(Action{Do: StopTraffic, Reason: d.next.Message})
	}
	if plan, under := d.retire(); under {
		return plan
	}
	if d.Spec.Routed && d.Workload.Exists && (!d.Services.Exist || d.Services.Narrow) {
		return d.do(Action{Do: EnsureServices, Reason: "the trial is over"})
	}
	d.next.Weight, d.next.ClockStopped, d.next.StableTemplate = 0, "", ""
	if d.next.Failure == "" && d.next.Unfinished != "" {
		d.restUnfinished()
		return d.wait()
	}
	if d.next.Failure == "" {
		// The trial was withdrawn: the verdict is not one on what serves.
		d.next.Verdict, d.next.Evidence = "", nil
		d.next.enter(Healthy, d.now)
		return d.wait()
	}
	d.next.enter(RolledBack, d.now)
	d.say("%s failed, %s serves. It failed because %s", nameOf(d.next.Canary), nameOf(d.next.Stable), d.next.Failure)
	d.tell("RolledBack", true, "the canary is removed, %s serves. It failed because %s", nameOf(d.next.Stable), d.next.Failure)
	return d.wait()
}

// takeBack returns the workload's own pods from a revision that failed, or was
// taken back, after it had begun to roll; it says whether that is under way.
func (d *decision) takeBack() (Plan, bool) {
	w := d.Workload
	if !w.Exists || w.OnCanary == 0 {
		return Plan{}, false
	}
	switch stable := w.Wanted.TemplateHash == d.next.Stable.TemplateHash; {
	case stable && w.Held:
		return d.do(Action{Do: Unhold, Reason: "it returns to the revision before"}), true
	case stable && w.Paused:
		return d.pausedAmid(), true
	case stable && !w.RolledOut:
		d.say("%s returns to %s", d.Spec.Workload, nameOf(d.next.Stable))
		return d.wait(), true
	case stable || d.next.Failure == "":
		return Plan{}, false
	case !w.StableKept:
		d.say("%s cannot return, its revision before is gone: change the image in Git. It failed because %s", d.Spec.Workload, d.next.Failure)
		return Plan{}, false
	}
	if w.Wanted.TemplateHash != d.next.Canary.TemplateHash {
		d.tell("RevisionPutOff", true, "%s takes the template of %s, because it still runs pods of %s, which failed; apply %s again",
			d.Spec.Workload, nameOf(d.next.Stable), nameOf(d.next.Canary), nameOf(w.Wanted))
	}
	return d.do(Action{Do: ReturnToStable, Reason: "the new revision failed"}), true
}
