package rollout

import "time"

// atRest watches for a new revision, and puts right what does not belong to a
// workload at rest.
func (d *decision) atRest() Plan {
	if d.next.Phase == "" {
		d.next.enter(Healthy, d.now)
	}
	if plan, found := d.leftover(); found {
		return plan
	}
	if !d.Workload.Exists {
		d.say("%s does not exist: create it, or delete this Rollout", d.Spec.Workload)
		return d.rest(Stuck, "WorkloadMissing")
	}
	switch w := d.Workload; {
	case !w.Labelled:
		d.say("%s is taken into care", d.Spec.Workload)
		return d.do(Action{Do: Label, Reason: "so that new revisions of it are held"})
	case w.Held:
		return d.held()
	case w.Failed != "":
		d.say("%s does not roll out by itself: %s", d.Spec.Workload, w.Failed)
		return d.rest(Stuck, "WorkloadFailed")
	case w.Paused:
		d.say("%s was paused by hand and is left alone: resume it; a template that was changed while it was paused then rolls without a trial", d.Spec.Workload)
		return d.rest(Stuck, pausedByHand)
	case !w.RolledOut:
		d.say("%s", d.rollsByItself())
		return d.rest(Working, "RollingByItself")
	}
	return d.serves()
}

// pausedByHand is the reason where a person paused the workload itself.
const pausedByHand = "PausedByHand"

// leftover takes away what a crash, or another hand, left behind.
func (d *decision) leftover() (Plan, bool) {
	switch {
	case d.exposed():
		return d.do(Action{Do: StopTraffic, Reason: "no trial is under way"}), true
	case d.releasable():
		return d.do(Action{Do: ReleaseRoute, Reason: "no trial is under way"}), true
	case d.Canary.Exists && !d.Canary.Deleting:
		return d.do(Action{Do: DeleteCanary, Reason: "no trial is under way"}), true
	case d.Canary.Exists:
		return d.ending("the canary's pods end"), true
	case d.Autoscaler.Held:
		return d.do(Action{Do: ReleaseFloor, Reason: "no trial is under way"}), true
	case d.Spec.Routed && d.Workload.Exists && (!d.Services.Exist || d.Services.Narrow):
		return d.do(Action{Do: EnsureServices, Reason: "the route's Services have to be there before a trial"}), true
	}
	return Plan{}, false
}

// held decides on a new revision.
func (d *decision) held() Plan {
	w := d.Workload
	switch {
	case d.rejected() && w.OnCanary > 0 && w.StableKept:
		// Scaled up from 0, the native controller takes the newest ReplicaSet.
		d.say("%s failed and runs again, %s takes its place: change the image in Git", nameOf(d.next.Canary), nameOf(d.next.Stable))
		return d.do(Action{Do: ReturnToStable, Reason: "pods of the revision that failed came back"})
	case d.serving() && w.Running.TemplateHash != d.next.Stable.TemplateHash:
		d.next.Stable = w.Running
		d.say("%s runs %s", d.Spec.Workload, nameOf(w.Running))
		return d.wait()
	case w.Wanted.TemplateHash == d.next.Stable.TemplateHash:
		return d.letGo()
	case d.rejected():
		d.next.enter(RolledBack, d.now)
		d.say("%s failed and is held, %s serves: change the image in Git, or retry. It failed because %s",
			nameOf(d.next.Canary), nameOf(d.next.Stable), d.next.Failure)
		return d.rest(Stuck, string(RolledBack))
	case d.unfinished():
		return d.restUnfinished()
	case w.Replicas == 0, w.Running.TemplateHash == "":
		return d.letGo()
	}
	d.begin()
	return d.wait()
}

// serving says whether what the workload's pods run can be taken as stable. A
// revision that failed can where a third one comes and nothing else serves: a
// person resumed it.
func (d *decision) serving() bool {
	w := d.Workload
	hash := w.Running.TemplateHash
	third := !d.rejected() && w.Wanted.TemplateHash != d.next.Stable.TemplateHash
	return hash != "" && (d.next.Failure == "" || hash != d.next.Canary.TemplateHash || third && w.OnStable == 0)
}

// letGo resumes a workload whose held template needs no trial: it is what
// stable runs already, or there is no pod to compare with.
func (d *decision) letGo() Plan {
	why := "its template is that of stable again"
	if d.Workload.Wanted.TemplateHash != d.next.Stable.TemplateHash {
		why = "it runs no pod that a canary could be compared with"
	}
	d.say("%s is resumed: %s", d.Spec.Workload, why)
	return d.do(Action{Do: Unhold, Reason: why})
}

// begin notes a new trial; its first object is made at the next look.
func (d *decision) begin() {
	s := &d.next
	s.Canary, s.Trial = d.Workload.Wanted, s.Trial+1
	s.Step, s.Weight, s.Resets, s.FloorResets = 0, 0, 0, 0
	s.Failure, s.Unfinished, s.StableTemplate, s.Verdict, s.Evidence = "", "", "", "", nil
	s.PauseAsked, s.Approved, s.ClockStopped = false, false, ""
	s.TrialStarted, s.ClockAt = d.now, d.now
	s.StepStarted, s.DrainStarted = time.Time{}, time.Time{}
	s.Clock, s.TrialClock, s.Undecided = 0, 0, 0
	s.enter(Starting, d.now)
	d.say("%s is held; its canary starts, %s serves", nameOf(s.Canary), nameOf(s.Stable))
	d.tell("TrialStarted", false, "%s is held, its canary starts (trial %d)", nameOf(s.Canary), s.Trial)
}

func (d *decision) rollsByItself() string {
	if d.next.Stable.TemplateHash == "" {
		return "waits until " + d.Spec.Workload + " has rolled out by itself, to take it as stable"
	}
	if d.Workload.Wanted.TemplateHash == d.next.Stable.TemplateHash {
		return d.Spec.Workload + " brings up pods of " + nameOf(d.next.Stable)
	}
	if d.rejected() {
		return d.Spec.Workload + " rolls to " + nameOf(d.Workload.Wanted) + ", which failed, because somebody resumed it by hand: change the image in Git to take it back. It failed because " + d.next.Failure
	}
	return d.Spec.Workload + " rolls to " + nameOf(d.Workload.Wanted) + " without a trial, because nothing held it: is config/admission installed?"
}

// serves notes that the workload runs what it wants.
func (d *decision) serves() Plan {
	if d.next.Phase == RolledBack {
		d.tell("Returned", false, "%s runs %s again", d.Spec.Workload, nameOf(d.Workload.Running))
	}
	if d.next.Phase != Healthy {
		// No trial led here, so the verdict is not one on what serves.
		d.next.Verdict, d.next.Evidence = "", nil
	}
	d.next.Stable = d.Workload.Running
	d.next.enter(Healthy, d.now)
	d.next.Weight, d.next.ClockStopped, d.next.Unfinished, d.next.StableTemplate = 0, "", "", ""
	return d.served()
}

// served says that all is well, unless the next trial could not move traffic.
func (d *decision) served() Plan {
	switch {
	case d.Spec.Routed && d.Route.Unknown != "":
		d.say("%s runs %s, and its route cannot be read: %s", d.Spec.Workload, nameOf(d.next.Stable), d.Route.Unknown)
		return d.wait()
	case d.Spec.Routed && d.Route.Missing:
		d.say("%s runs %s, and a trial could not move its traffic: %s", d.Spec.Workload, nameOf(d.next.Stable), d.Route.Message)
		return d.rest(Stuck, RouteMissing)
	}
	d.say("%s runs %s", d.Spec.Workload, nameOf(d.next.Stable))
	if d.Workload.KeepsNone {
		d.next.Message += "; it keeps no ReplicaSet to return to (revisionHistoryLimit: 0), so a trial keeps its template in this status meanwhile"
	}
	return d.rest(Good, string(Healthy))
}
