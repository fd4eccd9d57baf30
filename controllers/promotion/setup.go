package promotion

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/internal/turn"
	"github.com/serin-gitops/serin/controllers/promotion/live"
	"github.com/serin-gitops/serin/environments"
)

// workloadIndex finds the Promotions under way that change a workload.
const workloadIndex = "serin.promotion.workloads"

// SetupWithManager registers the controller. name tells instances in one
// process apart; it is "promotion" in the product.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options controller.Options) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Promotion{}, workloadIndex, indexWorkloads); err != nil {
		return fmt.Errorf("index Promotions by workload: %w", err)
	}
	build := ctrl.NewControllerManagedBy(mgr).Named("promotion").WithOptions(turn.Options(options)).
		For(&v1alpha1.Promotion{}).
		Watches(&v1alpha1.Promotion{}, handler.EnqueueRequestsFromMapFunc(r.rivalsOf)).
		Watches(&v1alpha1.Pipeline{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			return r.active(ctx, o.GetNamespace(), o.GetName())
		})).
		WatchesRawSource(source.TypedChannel(r.Hints.Listen(), handler.TypedEnqueueRequestsFromMapFunc(r.hinted)))
	for _, kind := range []struct {
		object client.Object
		kind   string
	}{{&appsv1.Deployment{}, "Deployment"}, {&appsv1.StatefulSet{}, "StatefulSet"}, {&appsv1.DaemonSet{}, "DaemonSet"}} {
		build = build.Watches(kind.object, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
			return r.changing(ctx, kind.kind, o.GetNamespace(), o.GetName())
		}))
	}
	return build.Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		rollout, ok := o.(*v1alpha1.Rollout)
		if !ok {
			return nil
		}
		return r.changing(ctx, rollout.Spec.WorkloadRef.Kind, o.GetNamespace(), rollout.Spec.WorkloadRef.Name)
	})).Complete(r)
}

func indexWorkloads(o client.Object) []string {
	promotion, ok := o.(*v1alpha1.Promotion)
	if !ok || environments.Phase(promotion.Status.Phase).Ended() {
		return nil
	}
	keys := make([]string, 0, len(promotion.Status.Workloads))
	for _, workload := range promotion.Status.Workloads {
		keys = append(keys, live.Title(workload))
	}
	return keys
}

// changing are the Promotions under way that change a workload.
func (r *Reconciler) changing(ctx context.Context, kind, namespace, name string) []reconcile.Request {
	var found v1alpha1.PromotionList
	key := live.Title(v1alpha1.PromotedWorkload{Kind: kind, Namespace: namespace, Name: name})
	if err := r.Client.List(ctx, &found, client.MatchingFields{workloadIndex: key}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the Promotions of a workload", "workload", key)
		return nil
	}
	return requests(found.Items)
}

// rivalsOf are the other Promotions under way into the same Environment.
func (r *Reconciler) rivalsOf(ctx context.Context, o client.Object) []reconcile.Request {
	promotion, ok := o.(*v1alpha1.Promotion)
	if !ok {
		return nil
	}
	var all v1alpha1.PromotionList
	if err := r.Client.List(ctx, &all, client.InNamespace(o.GetNamespace()), client.MatchingLabels{
		v1alpha1.LabelPipeline: promotion.Spec.Pipeline, v1alpha1.LabelEnvironment: promotion.Spec.Environment,
	}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the Promotions of an environment", "promotion", promotion.Name)
		return nil
	}
	var others []v1alpha1.Promotion
	for _, other := range all.Items {
		if other.Name != promotion.Name && !environments.Phase(other.Status.Phase).Ended() {
			others = append(others, other)
		}
	}
	return requests(others)
}

// active are the Promotions of a Pipeline that are under way, or rejected, as
// those may be opened again.
func (r *Reconciler) active(ctx context.Context, namespace, pipeline string) []reconcile.Request {
	var all v1alpha1.PromotionList
	if err := r.Client.List(ctx, &all, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelPipeline: pipeline}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the Promotions of a Pipeline", "pipeline", pipeline)
		return nil
	}
	var found []v1alpha1.Promotion
	for _, promotion := range all.Items {
		phase := environments.Phase(promotion.Status.Phase)
		if !phase.Ended() || phase == environments.Rejected {
			found = append(found, promotion)
		}
	}
	return requests(found)
}

// hinted are the Promotions that a push or a pull request may concern: theirs
// are of other branches than the Pipeline's.
func (r *Reconciler) hinted(ctx context.Context, hint hints.Hint) []reconcile.Request {
	if hint.Git == "" {
		return nil
	}
	var pipelines v1alpha1.PipelineList
	if err := r.Client.List(ctx, &pipelines); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Pipelines")
		return nil
	}
	var found []reconcile.Request
	for _, pipeline := range pipelines.Items {
		if hints.Path(pipeline.Spec.Source.URL) == hints.Path(hint.Git) {
			found = append(found, r.active(ctx, pipeline.Namespace, pipeline.Name)...)
		}
	}
	return found
}

func requests(promotions []v1alpha1.Promotion) []reconcile.Request {
	found := make([]reconcile.Request, 0, len(promotions))
	for i := range promotions {
		found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&promotions[i])})
	}
	return found
}
