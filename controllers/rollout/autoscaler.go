package rollout

import (
	"context"
	"fmt"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/environments/rollout"
)

const (
	// annotationFloor on an autoscaler is what its minReplicas was before a trial.
	annotationFloor = "serin.dev/min-replicas-was"
	// annotationHeldFloor is what Serin raised it to.
	annotationHeldFloor = "serin.dev/min-replicas-held"
)

// observeAutoscaler finds the autoscaler of the workload, if it has one.
func (r *Reconciler) observeAutoscaler(ctx context.Context, s *scene) error {
	ref := s.rollout.Spec.WorkloadRef
	var list autoscalingv2.HorizontalPodAutoscalerList
	if err := r.List(ctx, &list, client.InNamespace(s.rollout.Namespace)); err != nil {
		return fmt.Errorf("list the autoscalers of namespace %s: %w", s.rollout.Namespace, err)
	}
	for i := range list.Items {
		scaler := &list.Items[i]
		if target := scaler.Spec.ScaleTargetRef; target.Kind != ref.Kind || target.Name != ref.Name {
			continue
		}
		if r.written.behind(scaler) {
			return errBehind{object: "HorizontalPodAutoscaler " + scaler.Name}
		}
		_, held := scaler.Annotations[annotationFloor]
		floor := countOf(scaler.Spec.MinReplicas)
		raised, err := strconv.ParseInt(scaler.Annotations[annotationHeldFloor], 10, 32)
		s.autoscaler = scaler
		s.snapshot.Autoscaler = rollout.Autoscaler{
			Exists: true, Held: held, Floor: floor, Ceiling: scaler.Spec.MaxReplicas,
			// Without the note of what it was raised to nobody can tell.
			Reset: held && err == nil && int64(floor) < raised,
		}
		return nil
	}
	return nil
}

// holdFloor raises the autoscaler's floor, and notes on it what that was.
func (r *Reconciler) holdFloor(ctx context.Context, s *scene, floor int32) error {
	next := s.autoscaler.DeepCopy()
	raise(next, floor)
	return r.patch(ctx, s.autoscaler, next)
}

// raise sets the floor. What it was, or what another writer has set since, is to
// be given back.
func raise(scaler *autoscalingv2.HorizontalPodAutoscaler, floor int32) {
	if _, held := scaler.Annotations[annotationFloor]; !held || foreignFloor(scaler) {
		if scaler.Annotations == nil {
			scaler.Annotations = map[string]string{}
		}
		scaler.Annotations[annotationFloor] = strconv.Itoa(int(countOf(scaler.Spec.MinReplicas)))
	}
	floor = min(floor, scaler.Spec.MaxReplicas)
	scaler.Spec.MinReplicas = &floor
	scaler.Annotations[annotationHeldFloor] = strconv.Itoa(int(floor))
}

// foreignFloor says that the floor is not the one that Serin raised it to.
func foreignFloor(scaler *autoscalingv2.HorizontalPodAutoscaler) bool {
	raised, err := strconv.ParseInt(scaler.Annotations[annotationHeldFloor], 10, 32)
	return err == nil && int64(countOf(scaler.Spec.MinReplicas)) != raised
}

// releaseFloor gives the autoscaler its floor back.
func (r *Reconciler) releaseFloor(ctx context.Context, s *scene) error {
	next := s.autoscaler.DeepCopy()
	if err := giveBack(next); err != nil {
		return err
	}
	return r.patch(ctx, s.autoscaler, next)
}

// giveBack gives an autoscaler its floor back, or leaves it the one that another
// writer has set since.
func giveBack(next *autoscalingv2.HorizontalPodAutoscaler) error {
	was, err := strconv.ParseInt(next.Annotations[annotationFloor], 10, 32)
	if err != nil {
		return fmt.Errorf("the HorizontalPodAutoscaler %s/%s: annotation %s: %q is no number: set minReplicas as you want it, and remove the annotation",
			next.Namespace, next.Name, annotationFloor, next.Annotations[annotationFloor])
	}
	if floor := int32(was); !foreignFloor(next) {
		next.Spec.MinReplicas = &floor
	}
	delete(next.Annotations, annotationFloor)
	delete(next.Annotations, annotationHeldFloor)
	return nil
}
