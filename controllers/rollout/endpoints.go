package rollout

import (
	"context"
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Cached is what a manager's cache holds of kinds that are too many to be held as
// a whole: of EndpointSlices those of Serin's own Services, whose labels the
// cluster copies to them.
func Cached() map[client.Object]cache.ByObject {
	own, err := labels.NewRequirement(v1alpha1.LabelRollout, selection.Exists, nil)
	if err != nil {
		panic(err) // The label is a constant.
	}
	return map[client.Object]cache.ByObject{
		&discoveryv1.EndpointSlice{}: {Label: labels.NewSelector().Add(*own)},
	}
}

// observeEndpoints lets pods count as serving only where the Service that the
// route leads to lists them. A pod is ready some time before that, and a gateway
// that is given the weight meanwhile answers the canary's share with an error.
func (r *Reconciler) observeEndpoints(ctx context.Context, s *scene) error {
	canary, err := r.listed(ctx, s.rollout, canarySuffix)
	if err != nil {
		return err
	}
	pods := s.snapshot.Canary.Pods
	for i := range pods {
		pods[i].Ready = pods[i].Ready && canary.Has(pods[i].Name)
	}
	stable, err := r.listed(ctx, s.rollout, stableSuffix)
	s.snapshot.Services.Behind = stable.Len() == 0 && servingPods(s.ownPods) > 0
	return err
}

// listed names the pods that one of a Rollout's two Services sends requests to.
func (r *Reconciler) listed(ctx context.Context, ro *v1alpha1.Rollout, suffix string) (sets.Set[string], error) {
	service := ro.Spec.WorkloadRef.Name + suffix
	var list discoveryv1.EndpointSliceList
	err := r.List(ctx, &list, client.InNamespace(ro.Namespace),
		client.MatchingLabels{v1alpha1.LabelRollout: ro.Name, discoveryv1.LabelServiceName: service})
	if err != nil {
		return nil, fmt.Errorf("list the EndpointSlices of Service %s/%s: %w", ro.Namespace, service, err)
	}
	pods := sets.New[string]()
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			// Readiness that is not known counts as ready, says the API.
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if ready && endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod" {
				pods.Insert(endpoint.TargetRef.Name)
			}
		}
	}
	return pods, nil
}

// ofEndpoints wakes the Rollout whose Service lists other pods.
func ofEndpoints(_ context.Context, object client.Object) []reconcile.Request {
	name := object.GetLabels()[v1alpha1.LabelRollout]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}
