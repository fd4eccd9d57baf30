package rollout

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments/rollout"
)

// conditionInvalid is there, and true, while no trial could be judged by the
// analysis as it is written. It is shown before there is anything to try, and
// does not make the Rollout unready: what serves is well.
const (
	conditionInvalid = "AnalysisInvalid"
	reasonRefused    = "Refused"
)

// accept says in a condition what is wrong with the analysis. A trial under way
// is judged by what was right at its start.
func (r *Reconciler) accept(ctx context.Context, ro *v1alpha1.Rollout) {
	if r.Accept == nil || ro.DeletionTimestamp != nil || rollout.Phase(ro.Status.Phase).Watched() {
		return
	}
	err := r.Accept(ctx, ro)
	if err == nil {
		meta.RemoveStatusCondition(&ro.Status.Conditions, conditionInvalid)
		return
	}
	meta.SetStatusCondition(&ro.Status.Conditions, metav1.Condition{
		Type: conditionInvalid, Status: metav1.ConditionTrue, ObservedGeneration: ro.Generation,
		Reason: reasonRefused, Message: status.OneLine(err.Error(), maxMessage),
	})
}

// maxMessage bounds the condition's message, in bytes.
const maxMessage = 1024

// templatesWake has a template that is written wake the Rollouts that use it,
// so that what they say of it is true.
func (r *Reconciler) templatesWake(b *ctrl.Builder) *ctrl.Builder {
	if r.Accept == nil {
		return b
	}
	return b.Watches(&v1alpha1.AnalysisTemplate{}, handler.EnqueueRequestsFromMapFunc(r.ofTemplate(v1alpha1.KindAnalysisTemplate))).
		Watches(&v1alpha1.ClusterAnalysisTemplate{}, handler.EnqueueRequestsFromMapFunc(r.ofTemplate(v1alpha1.KindClusterAnalysisTemplate)))
}

// ofTemplate finds the Rollouts that use a template.
func (r *Reconciler) ofTemplate(kind string) handler.MapFunc {
	return func(ctx context.Context, object client.Object) []reconcile.Request {
		var list v1alpha1.RolloutList
		// The namespace of what is not in one is all of them.
		if err := r.List(ctx, &list, client.InNamespace(object.GetNamespace())); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list the Rollouts of a template", "kind", kind, "template", object.GetName())
			return nil
		}
		var requests []reconcile.Request
		for i := range list.Items {
			if slices.ContainsFunc(list.Items[i].Spec.Analysis.Templates, func(ref v1alpha1.TemplateReference) bool {
				return ref.Name == object.GetName() && (ref.Kind == kind || ref.Kind == "" && kind == v1alpha1.KindAnalysisTemplate)
			}) {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
			}
		}
		return requests
	}
}
