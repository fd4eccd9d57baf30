package rollout

import (
	"fmt"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Decide says what to do now: at most one mutation, and the status to write
// before it.
func Decide(s Snapshot, now time.Time) Plan {
	d := &decision{Snapshot: s, now: now, next: s.Status}
	d.next.forward(now, max(longestLook, 2*s.Spec.Interval))
	d.answer()
	plan := d.decide()
	plan.Event = d.event
	plan.Status = settled(s.Status, d.next, now)
	return plan
}

// decision is one call of Decide: what was observed, and the status as it is
// going to be.
type decision struct {
	Snapshot
	now   time.Time
	next  Status
	event *Event
}

func (d *decision) decide() Plan {
	if d.Deleting {
		return d.giveBack()
	}
	switch d.next.Phase {
	case Starting, Progressing, Paused:
		return d.onTrial()
	case Finalising:
		return d.finalising()
	case Baking:
		return d.baking()
	case RollingBack:
		return d.rollingBack()
	default:
		return d.atRest()
	}
}

// answer carries out a person's request, once. What cannot be done in this
// phase is said and forgotten.
func (d *decision) answer() {
	r := d.Request
	if r.ID == "" || r.ID == d.next.HandledRequest {
		return
	}
	d.next.HandledRequest = r.ID
	if !d.grant(r) {
		d.tell("RequestRefused", true, "%s asked to %s, which does not apply: the rollout is %s", r.by(), r.Verb, d.next.Phase)
	}
}

// grant says whether the request applies, and notes it.
func (d *decision) grant(r Request) bool {
	trial := d.next.Phase.OnTrial()
	switch {
	case r.Verb == Abort && d.next.Phase.Watched():
		d.fail(fmt.Sprintf("aborted by %s%s", r.by(), r.why()))
	case r.Verb == Pause && trial:
		d.next.PauseAsked = true
		d.tell("PauseAsked", false, "paused by %s%s", r.by(), r.why())
	case r.Verb == Resume && trial:
		d.next.PauseAsked, d.next.Approved, d.next.Undecided = false, d.waitsForApproval(), 0
		d.tell("Resumed", false, "resumed by %s%s", r.by(), r.why())
	case r.Verb == Skip && trial && !d.next.StepStarted.IsZero():
		d.next.PauseAsked, d.next.Approved = false, true
		d.tell("StepSkipped", false, "step %s ended by %s%s", d.step(), r.by(), r.why())
	case r.Verb == Promote && trial && d.Verdict.Outcome != Fail:
		d.next.PauseAsked = false
		d.finalise(fmt.Sprintf("promoted in full by %s%s", r.by(), r.why()))
	case r.Verb == Promote && d.next.Phase == Baking && d.Verdict.Outcome != Fail:
		d.keepEvidence()
		d.succeed()
		d.tell("BakeEnded", false, "bake ended by %s%s: %s runs %s", r.by(), r.why(), d.Spec.Workload, nameOf(d.next.Stable))
	case r.Verb == Abort && d.next.Phase == RolledBack && d.unfinished():
		d.next.Failure, d.next.Unfinished, d.next.ClockStopped = fmt.Sprintf("aborted by %s%s", r.by(), r.why()), "", ""
		d.tell("Failed", true, "%s: %s is rejected, %s serves", d.next.Failure, nameOf(d.next.Canary), nameOf(d.next.Stable))
	case r.Verb == Retry && d.next.Phase == RolledBack && d.Workload.Held:
		d.next.Failure, d.next.Unfinished, d.next.ClockStopped = "", "", ""
	default:
		return false
	}
	return true
}

// waitsForApproval says whether the step asks a person, by itself or for lack
// of evidence.
func (d *decision) waitsForApproval() bool {
	step, ok := d.current()
	return ok && !d.next.StepStarted.IsZero() && (step.Until == UntilApproval || d.outOfTime(step))
}

// giveBack leaves everything as it would be without Serin.
func (d *decision) giveBack() Plan {
	d.next.enter(RollingBack, d.now)
	d.next.Weight = 0
	d.say("being deleted: the canary is removed and %s given back", d.Spec.Workload)
	switch {
	case d.exposed():
		return d.stop()
	case d.Spec.Routed && !d.Route.Released && d.returns() && !d.Canary.Deleting:
		return d.do(Action{Do: DeleteCanary, Reason: "the Rollout is being deleted"})
	case d.Spec.Routed && !d.Route.Released && d.returns() && d.now.Sub(d.next.PhaseSince) < routeLag:
		return d.wait()
	case d.Spec.Routed && !d.Route.Released:
		// One that cannot be read as well: its Services go with the Rollout.
		return d.do(Action{Do: ReleaseRoute, Reason: "the Rollout is being deleted"})
	case d.Spec.Routed && d.Route.there() && !d.Route.Reached && d.now.Sub(d.next.PhaseSince) < routeLag:
		d.say("being deleted: waits until the gateway sends nothing to the canary any more: %s", d.Route.Message)
		return d.wait()
	case d.Canary.Exists && !d.Canary.Deleting:
		return d.do(Action{Do: DeleteCanary, Reason: "the Rollout is being deleted"})
	case d.Autoscaler.Held:
		return d.do(Action{Do: ReleaseFloor, Reason: "the Rollout is being deleted"})
	case d.Workload.Held && d.rejected() && d.Workload.StableKept:
		return d.do(Action{Do: ReturnToStable, Reason: "the Rollout is being deleted, and the revision that failed is not let loose"})
	case d.Workload.Held:
		return d.do(Action{Do: Unhold, Reason: "the Rollout is being deleted, so what it held rolls by itself"})
	case d.Workload.Exists && d.Workload.Marked:
		return d.do(Action{Do: Forget, Reason: "the Rollout is being deleted; the workload rolls by itself from now on"})
	}
	return d.do(Action{Do: LetGo, Reason: "everything is given back"})
}

// fail ends the trial: the reason is kept before anything is taken back.
func (d *decision) fail(why string) {
	d.next.Failure = why
	d.withdraw(why)
	d.tell("Failed", true, "%s: weight 0, %s serves", why, nameOf(d.next.Stable))
}

// withdraw ends the trial without a word against the revision, unless fail has
// said one.
func (d *decision) withdraw(why string) {
	d.next.enter(RollingBack, d.now)
	d.next.Weight, d.next.StepStarted, d.next.DrainStarted = 0, time.Time{}, time.Time{}
	d.next.PauseAsked, d.next.Approved, d.next.ClockStopped = false, false, ""
	d.next.Message = why
	d.keepEvidence()
}

// finalise ends the trial well.
func (d *decision) finalise(why string) {
	d.next.enter(Finalising, d.now)
	d.next.StepStarted, d.next.DrainStarted = time.Time{}, time.Time{}
	d.next.Approved, d.next.ClockStopped = false, ""
	d.keepEvidence()
	d.say("%s: %s rolls itself to the new revision", why, d.Spec.Workload)
	d.tell("Finalising", false, "%s: %s rolls itself to %s", why, d.Spec.Workload, nameOf(d.next.Canary))
}

func (d *decision) keepEvidence() {
	if len(d.Verdict.Evidence) > 0 {
		d.next.Evidence = d.Verdict.Evidence
	}
	d.next.Verdict = d.Verdict.Outcome
}

// exposed says whether the canary may get traffic, as far as can be seen: a
// route that cannot be read counts while a canary is there.
func (d *decision) exposed() bool {
	if d.Canary.open() > 0 {
		return true
	}
	if d.Spec.Routed && d.Route.Unknown != "" {
		return d.Canary.Exists
	}
	return d.Spec.Routed && d.Route.Weight > 0
}

// rejected says that the workload wants the revision that failed last.
func (d *decision) rejected() bool {
	return d.next.Failure != "" && d.Workload.Wanted.TemplateHash == d.next.Canary.TemplateHash
}

// current is the step being taken.
func (d *decision) current() (Step, bool) {
	if d.next.Step < 0 || d.next.Step >= len(d.Spec.Steps) {
		return Step{}, false
	}
	return d.Spec.Steps[d.next.Step], true
}

// step is how far the steps are, for people.
func (d *decision) step() string {
	return fmt.Sprintf("%d/%d", d.next.Step+1, len(d.Spec.Steps))
}

func (d *decision) say(format string, args ...any) {
	d.next.Message = fmt.Sprintf(format, args...)
}

func (d *decision) tell(reason string, warning bool, format string, args ...any) {
	d.event = &Event{Reason: reason, Warning: warning, Message: fmt.Sprintf(format, args...)}
}

// do plans one mutation; what it brought is looked at soon after.
func (d *decision) do(a Action) Plan {
	return Plan{Action: a, Health: Working, Reason: string(d.next.Phase), RequeueAfter: d.Spec.Interval}
}

// wait plans nothing but another look.
func (d *decision) wait() Plan {
	return Plan{Health: Working, Reason: string(d.next.Phase), RequeueAfter: d.Spec.Interval}
}

// rest plans nothing until something changes.
func (d *decision) rest(health Health, reason string) Plan {
	return Plan{Health: health, Reason: reason}
}

// nameOf is a revision for people: its images, else its hash.
func nameOf(r Revision) string {
	switch len(r.Images) {
	case 0:
		return "revision " + r.TemplateHash
	case 1:
		return environments.ShortReference(r.Images[0])
	}
	return fmt.Sprintf("%s and %d more", environments.ShortReference(r.Images[0]), len(r.Images)-1)
}

func (r Request) by() string {
	if r.By == "" {
		return "a person"
	}
	return r.By
}

func (r Request) why() string {
	if r.Reason == "" {
		return ""
	}
	return ": " + r.Reason
}
