package rollout

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/rollout"
	"github.com/serin-gitops/serin/traffic"
)

// Defaults for objects that were stored before the API server knew them.
const (
	defaultInterval = 2 * time.Second
	defaultDrain    = 10 * time.Second
	defaultDeadline = 2 * time.Hour
)

// defaultSteps are taken where the user names none.
var defaultSteps = []v1alpha1.Step{
	{Weight: 20, Duration: &metav1.Duration{Duration: time.Minute}},
	{Weight: 50, Duration: &metav1.Duration{Duration: time.Minute}},
}

// Steps gives the steps of a Rollout: its own, or those taken where it names none.
func Steps(ro *v1alpha1.Rollout) []v1alpha1.Step {
	if len(ro.Spec.Steps) == 0 {
		return defaultSteps
	}
	return ro.Spec.Steps
}

func intervalOf(ro *v1alpha1.Rollout) time.Duration {
	return orDefault(ro.Spec.Analysis.Interval, defaultInterval)
}

func orDefault(d metav1.Duration, otherwise time.Duration) time.Duration {
	if d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}

// specOf is what the user asks for, with the pods that each step needs.
func specOf(ro *v1alpha1.Rollout, router traffic.Router, target traffic.Target) rollout.Spec {
	spec := rollout.Spec{
		Workload: ro.Spec.WorkloadRef.Kind + "/" + ro.Spec.WorkloadRef.Name,
		Routed:   routed(ro), Paused: ro.Spec.Paused,
		Bake: ro.Spec.Bake.Duration, Drain: orDefault(ro.Spec.Drain, defaultDrain),
		Deadline: orDefault(ro.Spec.Deadline, defaultDeadline), Interval: intervalOf(ro),
		InconclusiveLimit: ro.Spec.Analysis.InconclusiveLimit.Duration,
	}
	for _, step := range Steps(ro) {
		weight := environments.Weight(step.Weight)
		s := rollout.Step{
			Weight: weight, Until: rollout.Until(step.Until), AdvanceOnTimeout: step.OnTimeout == "Advance",
			Replicas: router.Plan(target, weight).CanaryReplicas,
		}
		if step.Duration != nil {
			s.Duration = step.Duration.Duration
		}
		if step.MinDuration != nil {
			s.Least = step.MinDuration.Duration
		}
		spec.Steps = append(spec.Steps, s)
	}
	return spec
}

func routed(ro *v1alpha1.Rollout) bool { return ro.Spec.Traffic.RouteRef != nil }

// requestOf reads a person's request: a word and when it was asked.
func requestOf(ro *v1alpha1.Rollout) rollout.Request {
	id := ro.Annotations[v1alpha1.AnnotationRequest]
	word, _, _ := strings.Cut(id, "@")
	return rollout.Request{
		ID: id, Verb: rollout.Verb(word),
		By: ro.Annotations[v1alpha1.AnnotationBy], Reason: ro.Annotations[v1alpha1.AnnotationReason],
	}
}

// statusOf reads the domain's status.
func statusOf(s v1alpha1.RolloutStatus) rollout.Status {
	out := rollout.Status{
		Phase: rollout.Phase(s.Phase), Message: s.Message, Trial: s.Trial, Step: int(s.Step),
		Weight: environments.Weight(s.Weight), Failure: s.Failure, Verdict: rollout.Outcome(s.Verdict),
		Evidence: s.Evidence, PauseAsked: s.PauseAsked, Approved: s.Approved, Resets: int(s.Resets),
		HandledRequest: s.HandledRequest, Clock: s.Clock.Duration, TrialClock: s.TrialClock.Duration, Undecided: s.Undecided.Duration,
		ClockStopped: s.ClockStopped, PhaseSince: timeOf(s.PhaseSince), StepStarted: timeOf(s.StepStarted),
		DrainStarted: timeOf(s.DrainStarted), ClockAt: timeOf(s.ClockAt),
		Unfinished: s.Unfinished, FloorResets: int(s.FloorResets),
	}
	if s.StableTemplate != nil {
		out.StableTemplate = string(s.StableTemplate.Raw)
	}
	if s.TrialStarted != nil {
		out.TrialStarted = s.TrialStarted.Time
	}
	if s.Stable != nil {
		out.Stable = rollout.Revision(*s.Stable)
	}
	if s.Canary != nil {
		out.Canary = rollout.Revision(*s.Canary)
	}
	return out
}

// writeStatus puts the domain's status into the object's.
func writeStatus(to *v1alpha1.RolloutStatus, s rollout.Status, steps int) {
	to.Phase, to.Message, to.Trial, to.Step = v1alpha1.RolloutPhase(s.Phase), s.Message, s.Trial, int32(s.Step)
	to.Weight, to.Failure, to.Verdict, to.Evidence = int32(s.Weight), s.Failure, string(s.Verdict), bounded(s.Evidence)
	to.PauseAsked, to.Approved, to.Resets, to.HandledRequest = s.PauseAsked, s.Approved, int32(s.Resets), s.HandledRequest
	to.Clock, to.TrialClock = metav1.Duration{Duration: s.Clock}, metav1.Duration{Duration: s.TrialClock}
	to.Undecided = metav1.Duration{Duration: s.Undecided}
	to.ClockStopped, to.ClockAt = s.ClockStopped, microTime(s.ClockAt)
	to.PhaseSince, to.StepStarted, to.DrainStarted = microTime(s.PhaseSince), microTime(s.StepStarted), microTime(s.DrainStarted)
	to.Stable, to.Canary = revision(s.Stable), revision(s.Canary)
	to.Unfinished, to.FloorResets, to.StableTemplate = s.Unfinished, int32(s.FloorResets), nil
	if s.StableTemplate != "" {
		to.StableTemplate = &runtime.RawExtension{Raw: []byte(s.StableTemplate)}
	}
	to.TrialStarted = nil
	if !s.TrialStarted.IsZero() {
		to.TrialStarted = &metav1.Time{Time: s.TrialStarted}
	}
	to.Steps = int32(steps)
	to.Progress = ""
	if s.Phase.OnTrial() {
		to.Progress = fmt.Sprintf("%d/%d", s.Step+1, steps)
	}
}

// maxEvidence is what the API takes.
const maxEvidence = 32

func bounded(lines []string) []string { return lines[:min(len(lines), maxEvidence)] }

func revision(r rollout.Revision) *v1alpha1.Revision {
	if r.TemplateHash == "" {
		return nil
	}
	out := v1alpha1.Revision(r)
	return &out
}

func timeOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	return &metav1.MicroTime{Time: t}
}
