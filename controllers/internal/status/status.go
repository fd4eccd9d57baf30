// Package status writes what a controller reports: three conditions in the
// words of kstatus, one patch, and an event where something changed.
//
// A reconcile uses it in three lines: change a deep copy of the object it
// read, set the conditions, and write once:
//
//	next := rollout.DeepCopy()
//	status.Reconciling(&next.Status.Conditions, next.Generation, "Progressing", "step 1 of 3 at 20%")
//	changed, err := status.Patch(ctx, r.Client, rollout, next)
//	if changed { status.Event(r.Recorder, next, status.Normal, "Progressing", "step 1 of 3 at 20%") }
//
// Patch fails with a conflict (apierrors.IsConflict) where the object changed
// since it was read: return the error, the next reconcile observes again.
package status

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Kinds of event.
const (
	Normal  = corev1.EventTypeNormal
	Warning = corev1.EventTypeWarning
)

// Bounds of the API server on a condition's and an event's text, in bytes.
const (
	maxMessage = 32768
	maxNote    = 1024
)

// Ready says that the object is as it should be and nothing is under way.
func Ready(conditions *[]metav1.Condition, generation int64, reason, message string) {
	set(conditions, v1alpha1.ConditionReady, metav1.ConditionTrue, generation, reason, message)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
}

// Reconciling says that the controller is at work, or waits for something that
// comes by itself.
func Reconciling(conditions *[]metav1.Condition, generation int64, reason, message string) {
	set(conditions, v1alpha1.ConditionReady, metav1.ConditionUnknown, generation, reason, message)
	set(conditions, v1alpha1.ConditionReconciling, metav1.ConditionTrue, generation, reason, message)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
}

// Stalled says that the controller goes on only when a person, or another
// controller, changes something; message says what.
func Stalled(conditions *[]metav1.Condition, generation int64, reason, message string) {
	set(conditions, v1alpha1.ConditionReady, metav1.ConditionFalse, generation, reason, message)
	set(conditions, v1alpha1.ConditionStalled, metav1.ConditionTrue, generation, reason, message)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
}

// Failing says that the last attempt failed and is repeated.
func Failing(conditions *[]metav1.Condition, generation int64, reason, message string) {
	set(conditions, v1alpha1.ConditionReady, metav1.ConditionFalse, generation, reason, message)
	set(conditions, v1alpha1.ConditionReconciling, metav1.ConditionTrue, generation, reason, message)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
}

// PodIs says whether a condition of a pod is true.
func PodIs(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func set(conditions *[]metav1.Condition, kind string, value metav1.ConditionStatus, generation int64, reason, message string) {
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: value, ObservedGeneration: generation,
		Reason: reason, Message: clip(message, maxMessage),
	})
}

// Patch writes next's status where it differs from before's, on the condition
// that the object is still the one that before was read from. It says whether
// anything was written; next then carries the new resource version.
func Patch(ctx context.Context, c client.Client, before, next client.Object) (bool, error) {
	if equality.Semantic.DeepEqual(before, next) {
		return false, nil
	}
	base, ok := before.DeepCopyObject().(client.Object)
	if !ok {
		return false, fmt.Errorf("status of %T: the copy is no object of the API", before)
	}
	if err := c.Status().Patch(ctx, next, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return false, fmt.Errorf("write the status of %s/%s: %w", before.GetNamespace(), before.GetName(), err)
	}
	return true, nil
}

// Event tells people what changed. It is best effort, as events are.
func Event(recorder events.EventRecorder, regarding runtime.Object, kind, reason, note string) {
	recorder.Eventf(regarding, nil, kind, reason, reason, "%s", clip(note, maxNote))
}

// OneLine is text on one line, of at most limit bytes and three dots.
func OneLine(text string, limit int) string {
	line := strings.Join(strings.Fields(text), " ")
	if len(line) > limit {
		line = strings.ToValidUTF8(line[:limit], "") + "..."
	}
	return line
}

// clip shortens text to at most limit bytes, at a rune's boundary.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "..."
}
