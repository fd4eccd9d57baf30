package rollout

import (
	"fmt"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// onTrial takes the steps.
func (d *decision) onTrial() Plan {
	if plan, ended := d.ended(); ended {
		return plan
	}
	d.keepTemplate()
	d.stopClock()
	return d.heldUp(d.takeStep())
}

// takeStep does what the step under way needs next.
func (d *decision) takeStep() Plan {
	if plan, found := d.prepare(); found {
		return d.guard(plan)
	}
	step, ok := d.current()
	if !ok {
		return d.outOfSteps()
	}
	if d.next.ClockStopped == ClockPaused {
		return d.guard(d.wait())
	}
	if plan, under := d.reach(step); under {
		return d.guard(plan)
	}
	return d.advance(step)
}

// outOfSteps ends a trial whose steps were cut short under way, with the same
// verdict that the last of them would have needed.
func (d *decision) outOfSteps() Plan {
	if d.Verdict.Outcome != Pass || d.Verdict.Freeze {
		d.say("no step is left, waits for a verdict that passes; %s", d.Verdict.Message)
		return d.guard(d.wait())
	}
	d.finalise("no step is left")
	return d.wait()
}

// ended ends a trial whose ground is gone, or that failed.
func (d *decision) ended() (Plan, bool) {
	w := d.Workload
	switch {
	case d.Verdict.Outcome == Fail:
		d.fail(d.Verdict.Message)
	case d.late() && d.unready():
		d.fail(fmt.Sprintf("the trial was not done within its deadline of %s, and not all canary pods are ready; last: %s", environments.Span(d.Spec.Deadline), d.Verdict.Message))
	case d.late():
		d.giveUp(fmt.Sprintf("the trial was not done within its deadline of %s; last: %s", environments.Span(d.Spec.Deadline), d.Status.Message))
	case !w.Exists:
		d.withdraw(d.Spec.Workload + " was deleted during the trial")
	case w.Replicas == 0:
		// Whoever wants no pod of it wants no pod of its canary either.
		d.withdraw(d.Spec.Workload + " was scaled to 0: the trial ends")
	case w.Wanted.TemplateHash == d.next.Stable.TemplateHash:
		d.withdraw(d.Spec.Workload + " has the template of stable again: the trial ends")
	case w.Wanted.TemplateHash != d.next.Canary.TemplateHash:
		d.withdraw(nameOf(w.Wanted) + " takes the place of " + nameOf(d.next.Canary) + ": the trial ends")
	case !w.Held:
		d.withdraw(d.Spec.Workload + " was resumed by hand: the trial ends")
	default:
		return Plan{}, false
	}
	return d.stop(), true
}

// stop takes the canary out of traffic in the same call in which its end was
// decided. One that did not fail keeps its gates open until the gateway has
// weight 0: a gateway that is slow to take that, and quick to drop endpoints,
// would answer the canary's share with errors.
func (d *decision) stop() Plan {
	patient := d.next.Failure == "" && d.Canary.open() > 0 &&
		d.Spec.Routed && d.Route.there() && !d.Route.Released && d.now.Sub(d.next.PhaseSince) < routeLag
	switch {
	case patient && d.Route.Weight > 0:
		return d.do(Action{Do: SetWeight, Weight: 0, Reason: d.next.Message})
	case patient && !d.Route.Reached:
		return d.wait()
	}
	return d.do(Action{Do: StopTraffic, Reason: d.next.Message})
}

// stopClock says whether the clocks run from now on.
func (d *decision) stopClock() {
	step, ok := d.current()
	reached := !d.next.StepStarted.IsZero()
	if d.Verdict.Outcome != Inconclusive || d.Canary.up() == 0 {
		d.next.Undecided = 0
	}
	switch {
	case d.Spec.Paused, d.next.PauseAsked:
		d.next.ClockStopped = ClockPaused
	case d.Verdict.Freeze, d.Verdict.NeedsPerson:
		d.next.ClockStopped = ClockFrozen
	case d.obstacle().found():
		d.next.ClockStopped = ClockBlocked
	case ok && reached && !d.next.Approved && (step.Until == UntilApproval || d.outOfTime(step)), d.undecided():
		d.next.ClockStopped = ClockWaiting
	default:
		d.next.ClockStopped = ""
	}
	d.next.Verdict = d.Verdict.Outcome
	switch {
	case d.next.ClockStopped == ClockPaused, d.next.ClockStopped == ClockWaiting, d.next.ClockStopped == ClockBlocked, d.Verdict.NeedsPerson:
		d.next.enter(Paused, d.now)
	case d.next.Step == 0 && !reached:
		d.next.enter(Starting, d.now)
	default:
		d.next.enter(Progressing, d.now)
	}
	switch {
	case d.Spec.Paused:
		d.say("step %s is paused by spec.paused", d.step())
	case d.next.PauseAsked:
		d.say("step %s is paused on request: resume, promote or abort it", d.step())
	}
}

// outOfTime says whether a step until: Evidence waits for a person.
func (d *decision) outOfTime(step Step) bool {
	return step.Until == UntilEvidence && !step.AdvanceOnTimeout && !d.Verdict.Proven &&
		step.Duration > 0 && d.next.Clock >= max(step.Duration, step.Least)
}

// undecided says whether the verdict has been Inconclusive for longer than it may
// be until a person is asked.
func (d *decision) undecided() bool {
	return d.Spec.InconclusiveLimit > 0 && d.next.Undecided >= d.Spec.InconclusiveLimit
}

// prepare makes what a trial needs.
func (d *decision) prepare() (Plan, bool) {
	step, _ := d.current()
	if plan, found := d.lower(); found {
		return plan, true
	}
	switch {
	case !d.Workload.Labelled:
		return d.do(Action{Do: Label, Reason: "so that a revision that comes during the trial is held too"}), true
	case d.Spec.Routed && (!d.Services.Exist || !d.Services.Narrow):
		d.say("step %s: the Services of stable and canary are set", d.step())
		return d.do(Action{Do: EnsureServices, Narrow: true, Reason: "the route needs a Service for each arm"}), true
	case d.Canary.Exists && d.Canary.TemplateHash != d.next.Canary.TemplateHash && d.exposed():
		return d.do(Action{Do: StopTraffic, Reason: "the canary is of another revision"}), true
	case d.Canary.Exists && !d.Canary.Deleting && d.Canary.TemplateHash != d.next.Canary.TemplateHash:
		return d.do(Action{Do: DeleteCanary, Reason: "the canary is of another revision"}), true
	case d.Canary.Deleting:
		return d.ending(fmt.Sprintf("step %s: the canary before goes first", d.step())), true
	case d.Spec.Routed && d.Route.there() && d.Route.Released && d.Services.Behind && d.Canary.open() > 0:
		return d.do(Action{Do: StopTraffic, Reason: "another writer reset the route, and the Service of stable leads to no pod"}), true
	case d.Spec.Routed && d.Route.there() && d.Route.Released && d.Canary.open() > 0:
		return d.mendRoute(max(step.Replicas, 1)), true
	case d.Autoscaler.Exists && (!d.Autoscaler.Held || d.Autoscaler.Floor < d.floor()):
		return d.holdFloor(), true
	case !d.Canary.Exists:
		return d.do(Action{Do: CreateCanary, Replicas: max(step.Replicas, 1), Reason: "a new revision is held"}), true
	case d.Spec.Routed && d.Route.there() && d.Route.Released && d.Services.Behind:
		d.say("step %s: waits until the Service of stable leads to its pods", d.step())
		return d.wait(), true
	case d.Spec.Routed && d.Route.there() && d.Route.Released && d.Canary.open() == 0:
		// The user's own Service selects the canary's pods too: were one admitted
		// while the route names it, it would get its share by number.
		return d.do(Action{Do: SetWeight, Weight: 0, Reason: "the route names stable and canary before a canary pod is admitted"}), true
	}
	return Plan{}, false
}

// lower takes back what the canary has got beyond what was set: another writer
// raised the weight, or stable was scaled down beside a canary that has its share
// by number. That needs neither a verdict nor a clock that runs.
func (d *decision) lower() (Plan, bool) {
	step, taken := d.current()
	if !taken {
		return Plan{}, false
	}
	most, need := min(step.Weight, d.next.Weight), max(step.Replicas, 1)
	switch {
	case d.Spec.Routed && d.Route.there() && d.Route.Weight > most:
		d.next.Weight = most
		return d.do(Action{Do: SetWeight, Weight: most, Reason: fmt.Sprintf("the weight goes down to %s", most)}), true
	case !d.Spec.Routed && d.Canary.Exists && !d.Canary.Deleting && d.Canary.Replicas > need:
		return d.do(Action{Do: ScaleCanary, Replicas: need, Reason: fmt.Sprintf("step %s at %s needs no more", d.step(), step.Weight)}), true
	}
	return Plan{}, false
}

// mendRoute names the pair again in a route that another writer set back to the
// user's Service, behind which the admitted canary pods get a share by number.
func (d *decision) mendRoute(need int32) Plan {
	if d.Verdict.Outcome != Pass || d.Canary.Serving() < need {
		d.next.Weight = 0
	}
	return d.do(Action{Do: SetWeight, Weight: d.next.Weight, Reason: "another writer reset the route"})
}

// reach brings the canary to the step's size and weight; it says whether that
// is still under way. Everything that raises the weight waits for a verdict
// that passes.
func (d *decision) reach(step Step) (Plan, bool) {
	need := max(step.Replicas, 1)
	switch {
	case d.Canary.Replicas < need:
		d.say("step %s: the canary grows to %d pods", d.step(), need)
		return d.do(Action{Do: ScaleCanary, Replicas: need, Reason: fmt.Sprintf("step %s at %s needs them", d.step(), step.Weight)}), true
	case d.Canary.up() < need:
		d.say("step %s: %d of %d canary pods are up; %s", d.step(), d.Canary.up(), need, d.Verdict.Message)
		return d.wait(), true
	}
	rises := d.rises(step, need)
	if rises.Do != Nothing && d.Verdict.Outcome != Pass {
		d.say("step %s holds below %s: %s", d.step(), step.Weight, d.Verdict.Message)
		return d.wait(), true
	}
	if rises.Do != Nothing {
		d.next.Weight = step.Weight
		d.say("step %s: %s", d.step(), rises.Reason)
		return d.do(rises), true
	}
	return d.settle(step, need)
}

// rises is the next mutation that gives the canary more traffic, if one is
// needed.
func (d *decision) rises(step Step, need int32) Action {
	settled := !d.Spec.Routed || d.Route.there() && d.Route.Reached
	if step.Weight > 0 && d.Canary.open() < need && settled {
		for _, p := range d.Canary.Pods {
			if p.ContainersReady && !p.Open {
				return Action{Do: OpenGate, Pod: p.Name, Weight: step.Weight,
					Reason: fmt.Sprintf("pod %s is admitted, %d of %d", p.Name, d.Canary.open()+1, need)}
			}
		}
	}
	low := d.Route.Weight < step.Weight || d.Route.Weight == step.Weight && d.Route.Foreign
	if d.Spec.Routed && d.Route.there() && low && d.Canary.Serving() >= need {
		return Action{Do: SetWeight, Weight: step.Weight, Reason: fmt.Sprintf("the weight goes to %s", step.Weight)}
	}
	return Action{}
}

// settle waits until the data plane gives what was set.
func (d *decision) settle(step Step, need int32) (Plan, bool) {
	switch {
	case d.Spec.Routed && d.Route.Unknown != "":
		d.say("step %s: the route cannot be read: %s", d.step(), d.Route.Unknown)
	case d.Spec.Routed && !d.Route.Reached:
		d.say("step %s: waits for the gateway at %s: %s", d.step(), d.Route.Weight, d.Route.Message)
	case step.Weight > 0 && d.Canary.Serving() < need:
		d.say("step %s: %d of %d canary pods serve%s", d.step(), d.Canary.Serving(), need, d.behind())
	default:
		return Plan{}, false
	}
	return d.wait(), true
}

// behind is what makes a pod serve with a route, for people.
func (d *decision) behind() string {
	if d.Spec.Routed {
		return " (are ready, and listed by the Service of the canary)"
	}
	return ""
}

// guard takes the route's share, or what is too much of it, from a canary that has
// too few pods left to serve it, and counts a route that another writer reset.
func (d *decision) guard(plan Plan) Plan {
	if !d.Spec.Routed || d.Route.Unknown != "" || plan.Action.Do == StopTraffic {
		return plan
	}
	if d.Route.Foreign && plan.Action.Do == SetWeight && !d.next.StepStarted.IsZero() {
		d.next.Resets++
		d.tell("RouteReset", true, "%s", d.Route.Message)
	}
	if d.Route.Weight > 0 && d.Canary.Serving() == 0 {
		d.next.Weight = 0
		d.say("step %s: no canary pod serves, so its traffic goes to stable until one does", d.step())
		return d.do(Action{Do: SetWeight, Weight: 0, Reason: "no canary pod serves"})
	}
	if most := d.bearable(); d.Route.Weight > most {
		d.next.Weight = most
		d.say("step %s: only %d canary pods serve, so the weight goes down to %s until more do", d.step(), d.Canary.Serving(), most)
		return d.do(Action{Do: SetWeight, Weight: most, Reason: fmt.Sprintf("only %d canary pods serve", d.Canary.Serving())})
	}
	return plan
}

// bearable is the weight that the canary pods left can serve where more than half
// of those that the present one takes are away, such as with their node.
func (d *decision) bearable() environments.Weight {
	step, taken := d.current()
	if !taken || step.Weight == 0 {
		return d.Route.Weight
	}
	served, weight := int64(d.Canary.Serving()), int64(d.Route.Weight)
	need := (int64(max(step.Replicas, 1))*weight + int64(step.Weight) - 1) / int64(step.Weight)
	if 2*served >= need {
		return d.Route.Weight
	}
	return environments.Weight(weight * served / need)
}

// advance lets a step that has reached its weight take its time.
func (d *decision) advance(step Step) Plan {
	if d.next.StepStarted.IsZero() {
		d.next.StepStarted, d.next.Clock, d.next.Approved = d.now, 0, false
		d.next.enter(Progressing, d.now)
		d.next.Weight = step.Weight
		d.say("step %s at %s; %s", d.step(), step.Weight, d.Verdict.Message)
		d.tell("StepReached", false, "step %s: the canary serves %s with %d pods", d.step(), step.Weight, d.Canary.Serving())
		return d.wait()
	}
	if d.Verdict.Outcome == Pass && !d.Verdict.Freeze && d.mayEnd(step) {
		d.endStep(step)
		return d.wait()
	}
	d.say("step %s at %s, %s; %s", d.step(), step.Weight, d.waitsFor(step), d.Verdict.Message)
	return d.wait()
}

// mayEnd says whether the step's time, evidence or approval is there.
func (d *decision) mayEnd(step Step) bool {
	switch {
	case d.next.Approved:
		return true
	case step.Until == UntilApproval:
		return false
	case step.Until == UntilEvidence && d.Verdict.Proven:
		return d.next.Clock >= step.Least
	case step.Until == UntilEvidence && !step.AdvanceOnTimeout:
		return false
	}
	return d.next.Clock >= max(step.Duration, step.Least)
}

func (d *decision) waitsFor(step Step) string {
	switch {
	case d.next.ClockStopped == ClockFrozen:
		return "its clock stands still"
	case d.next.Approved:
		return "approved, waits for a verdict that passes"
	case step.Until == UntilApproval:
		return "waits for a person: resume or abort it"
	case d.outOfTime(step):
		return fmt.Sprintf("too little evidence after %s, so it waits for a person: resume, promote or abort it", environments.Span(max(step.Duration, step.Least)))
	case step.Until == UntilEvidence && d.next.Clock < step.Least:
		return fmt.Sprintf("for %s at least", environments.Span(step.Least))
	case step.Until == UntilEvidence && step.Duration > 0:
		return fmt.Sprintf("until there is evidence, at most %s", environments.Span(max(step.Duration, step.Least)))
	case step.Until == UntilEvidence:
		return "until there is evidence"
	case d.next.Clock >= step.Duration:
		return "its time is over, waits for a verdict that passes"
	}
	return fmt.Sprintf("for %s", environments.Span(step.Duration))
}

// endStep goes to the next step, or to the end.
func (d *decision) endStep(step Step) {
	if d.next.Step+1 >= len(d.Spec.Steps) {
		d.finalise("passed all steps")
		return
	}
	d.next.Step++
	d.next.StepStarted, d.next.Clock, d.next.Approved = time.Time{}, 0, false
	to := d.Spec.Steps[d.next.Step].Weight
	d.say("step %s: goes from %s to %s", d.step(), step.Weight, to)
	d.tell("StepAdvanced", false, "step %s: from %s to %s, because %s", d.step(), step.Weight, to, d.Verdict.Message)
}
