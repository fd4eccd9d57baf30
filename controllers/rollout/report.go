package rollout

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments/rollout"
)

// report writes the status once, and tells people where something happened.
func (r *Reconciler) report(ctx context.Context, s *scene, plan rollout.Plan) error {
	next := s.rollout.DeepCopy()
	writeStatus(&next.Status, plan.Status, len(s.snapshot.Spec.Steps))
	next.Status.ObservedGeneration = s.rollout.Generation
	next.Status.ReachedWeight = int32(s.reached)
	next.Status.AnalysisRun = ""
	if plan.Status.Trial > 0 {
		next.Status.AnalysisRun = RunName(s.rollout.Name, plan.Status.Trial)
	}
	message, conditions := plan.Status.Message, &next.Status.Conditions
	failure := r.attempts.last(s.rollout)
	switch {
	case failure != "" && plan.Action.Do != rollout.Nothing:
		status.Failing(conditions, s.rollout.Generation, "ActionFailed", message+" (it is tried again: "+failure+")")
	case plan.Health == rollout.Good:
		status.Ready(conditions, s.rollout.Generation, plan.Reason, message)
	case plan.Health == rollout.Stuck:
		status.Stalled(conditions, s.rollout.Generation, plan.Reason, message)
	default:
		status.Reconciling(conditions, s.rollout.Generation, plan.Reason, message)
	}
	r.accept(ctx, next)
	changed, err := status.Patch(ctx, r.Client, s.rollout, next)
	if err != nil {
		return err
	}
	if changed {
		r.written.note(next)
	}
	measure(next)
	if e := plan.Event; e != nil {
		kind := status.Normal
		if e.Warning {
			kind = status.Warning
		}
		status.Event(r.Recorder, s.rollout, kind, e.Reason, e.Message)
	}
	return nil
}

// attempts remember why the last action of a Rollout failed.
type attempts struct{ remembered[string] }

// trialOf says what is to be judged now: the canary's pods while steps are
// taken; with them the workload's own new pods once it rolls; these alone while
// it bakes.
func trialOf(s *scene, now time.Time) (Trial, bool) {
	st := s.snapshot.Status
	if !st.Phase.Watched() || s.workload == nil || s.snapshot.Deleting {
		return Trial{}, false
	}
	if st.Phase.OnTrial() && s.canary == nil {
		return Trial{}, false
	}
	trial := Trial{Rollout: s.rollout, StepStarted: st.StepStarted, Now: now}
	trial.Canary = append(trial.Canary, s.canaryPods...)
	isNew := s.newPods()
	for _, pod := range s.ownPods {
		if isNew(pod) {
			trial.Canary = append(trial.Canary, pod)
		} else {
			trial.Stable = append(trial.Stable, pod)
		}
	}
	trial.Serving = !st.Phase.OnTrial() || st.Weight > 0 && s.snapshot.Canary.Serving() > 0 && (!s.snapshot.Spec.Routed || s.snapshot.Route.Weight > 0)
	if st.Phase.OnTrial() && st.Step == 0 && st.StepStarted.IsZero() {
		trial.Serving = false
	}
	return trial, true
}

// newPods tells the workload's own pods that run the revision on trial.
func (s *scene) newPods() func(corev1.Pod) bool {
	var sets []types.UID
	for _, set := range s.replicaSets {
		if hash, err := hashOf(set.Spec.Template); err == nil && hash == s.snapshot.Status.Canary.TemplateHash {
			sets = append(sets, set.UID)
		}
	}
	return func(pod corev1.Pod) bool {
		return slices.ContainsFunc(sets, func(uid types.UID) bool {
			return slices.ContainsFunc(pod.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == uid })
		})
	}
}
