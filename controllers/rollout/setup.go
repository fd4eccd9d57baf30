package rollout

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Options of the controller.
type Options struct {
	// Routes are the kinds of route to watch; empty where the cluster has no
	// Gateway API.
	Routes []client.Object
	// Concurrency is how many Rollouts are reconciled at once.
	Concurrency int
}

// leastPatience and mostPatience bound the wait after an error, which doubles: a
// canary that failed must not keep its traffic for long once the API server, or
// what refused the write, is back.
const (
	leastPatience = 100 * time.Millisecond
	mostPatience  = 10 * time.Second
)

func (o Options) controller() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: max(o.Concurrency, 1),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](leastPatience, mostPatience),
	}
}

const (
	// workloadIndex finds the Rollouts of a workload by its name.
	workloadIndex = "spec.workloadRef.name"
	// routeIndex finds the Rollouts of a route by its name.
	routeIndex = "spec.traffic.routeRef.name"
)

// RunName is the name of a trial's AnalysisRun.
func RunName(rollout string, trial int64) string { return fmt.Sprintf("%s-%d", rollout, trial) }

// SetupWithManager adds the controller to the manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, options Options) error {
	indexer := mgr.GetFieldIndexer()
	if err := indexer.IndexField(ctx, &v1alpha1.Rollout{}, workloadIndex, indexed(func(ro *v1alpha1.Rollout) string {
		return ro.Spec.WorkloadRef.Name
	})); err != nil {
		return err
	}
	if err := indexer.IndexField(ctx, &v1alpha1.Rollout{}, routeIndex, indexed(func(ro *v1alpha1.Rollout) string {
		if ro.Spec.Traffic.RouteRef == nil {
			return ""
		}
		return ro.Spec.Traffic.RouteRef.Name
	})); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).For(&v1alpha1.Rollout{}).Named("rollout").
		WithOptions(options.controller()).
		Owns(&corev1.Service{}).
		Watches(&v1alpha1.Rollout{}, handler.EnqueueRequestsFromMapFunc(r.ofRival), builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.ofDeployment)).
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(r.ofReplicaSet)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.ofPod)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(ofEndpoints))
	for _, route := range options.Routes {
		b = b.Watches(route, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
			return r.requests(ctx, object.GetNamespace(), routeIndex, object.GetName())
		}))
	}
	return r.templatesWake(b).Complete(r)
}

func indexed(value func(*v1alpha1.Rollout) string) client.IndexerFunc {
	return func(object client.Object) []string {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok || value(ro) == "" {
			return nil
		}
		return []string{value(ro)}
	}
}

// ofRival wakes the other Rollouts of a workload once one of them is gone.
func (r *Reconciler) ofRival(ctx context.Context, object client.Object) []reconcile.Request {
	ro, ok := object.(*v1alpha1.Rollout)
	if !ok {
		return nil
	}
	return r.requests(ctx, ro.Namespace, workloadIndex, ro.Spec.WorkloadRef.Name)
}

// ofDeployment wakes the Rollouts of a workload, and the owner of a canary.
func (r *Reconciler) ofDeployment(ctx context.Context, object client.Object) []reconcile.Request {
	if name, found := labelled(object); found {
		return []reconcile.Request{{NamespacedName: name}}
	}
	return r.requests(ctx, object.GetNamespace(), workloadIndex, object.GetName())
}

func (r *Reconciler) ofReplicaSet(ctx context.Context, object client.Object) []reconcile.Request {
	if name, found := labelled(object); found {
		return []reconcile.Request{{NamespacedName: name}}
	}
	owner := metav1.GetControllerOf(object)
	if owner == nil || owner.Kind != "Deployment" {
		return nil
	}
	return r.requests(ctx, object.GetNamespace(), workloadIndex, owner.Name)
}

// ofPod wakes the Rollout of a canary's pod at once. The workload's own pods
// are seen by its ReplicaSets' status, and while they are on trial by the
// interval of the analysis.
func (r *Reconciler) ofPod(_ context.Context, object client.Object) []reconcile.Request {
	if name, found := labelled(object); found {
		return []reconcile.Request{{NamespacedName: name}}
	}
	return nil
}

// labelled reads the label that marks what a Rollout owns.
func labelled(object client.Object) (types.NamespacedName, bool) {
	labels := object.GetLabels()
	if labels[v1alpha1.LabelArm] != armCanary || labels[v1alpha1.LabelRollout] == "" {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: labels[v1alpha1.LabelRollout]}, true
}

func (r *Reconciler) requests(ctx context.Context, namespace, index, name string) []reconcile.Request {
	var list v1alpha1.RolloutList
	if err := r.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: name}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Rollouts", "namespace", namespace, index, name)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}
