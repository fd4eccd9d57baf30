package pipeline

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/internal/turn"
)

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(_ context.Context, mgr ctrl.Manager, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).Named("pipeline").WithOptions(turn.Options(options)).
		For(&v1alpha1.Pipeline{}).
		Owns(&v1alpha1.Release{}).
		Watches(&v1alpha1.Promotion{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			promotion, ok := o.(*v1alpha1.Promotion)
			if !ok {
				return nil
			}
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: promotion.Spec.Pipeline}}}
		})).
		WatchesRawSource(source.TypedChannel(r.Hints.Listen(), handler.TypedEnqueueRequestsFromMapFunc(r.hinted))).
		Complete(r)
}

// hinted are the Pipelines that a hint may concern.
func (r *Reconciler) hinted(ctx context.Context, hint hints.Hint) []reconcile.Request {
	var pipelines v1alpha1.PipelineList
	if err := r.Client.List(ctx, &pipelines); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Pipelines")
		return nil
	}
	var found []reconcile.Request
	for i := range pipelines.Items {
		if concerns(hint, pipelines.Items[i].Spec) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pipelines.Items[i])})
		}
	}
	return found
}

func concerns(hint hints.Hint, spec v1alpha1.PipelineSpec) bool {
	if hint.Moves(spec.Source.URL, spec.Source.Branch) {
		return true
	}
	for _, image := range spec.Images {
		if hint.Image != "" && hints.Path(hint.Image) == hints.Path(image.Repository) {
			return true
		}
	}
	return false
}
