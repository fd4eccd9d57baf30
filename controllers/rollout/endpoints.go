package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// observeEndpoints says where the Services that a route leads to send requests. A
// pod is ready some time before its Service lists it, and a gateway that is given
// the weight meanwhile answers the canary's share with an error.
func (r *Reconciler) observeEndpoints(ctx context.Context, s *scene) error {
	listed, err := r.listed(ctx, s.rollout)
	if err != nil {
		return err
	}
	name := s.rollout.Spec.WorkloadRef.Name
	canary, stable := listed[name+canarySuffix], listed[name+stableSuffix]
	pods := s.snapshot.Canary.Pods
	for i := range pods {
		pods[i].Unlisted = !canary.Has(pods[i].Name)
	}
	s.snapshot.Services.LeadsToCanary = canary.Len() > 0
	s.snapshot.Services.Behind = stable.Len() == 0 && servingPods(s.ownPods) > 0
	return nil
}

// ownService says whether a Service is the Rollout's, and bears its mark still.
func ownService(service *corev1.Service, ro *v1alpha1.Rollout) bool {
	return metav1.IsControlledBy(service, ro) && service.Labels[v1alpha1.LabelRollout] == ro.Name
}

// readySince is when a pod became ready, or ceased to be, last.
func readySince(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// listed names the pods that each of a Rollout's Services sends requests to, by the
// Service's name.
func (r *Reconciler) listed(ctx context.Context, ro *v1alpha1.Rollout) (map[string]sets.Set[string], error) {
	var list discoveryv1.EndpointSliceList
	if err := r.List(ctx, &list, client.InNamespace(ro.Namespace), client.MatchingLabels{v1alpha1.LabelRollout: ro.Name}); err != nil {
		return nil, fmt.Errorf("list the EndpointSlices of the Services of Rollout %s/%s: %w", ro.Namespace, ro.Name, err)
	}
	return sentTo(list.Items), nil
}

// sentTo names the pods that EndpointSlices send requests to, by their Service's
// name.
func sentTo(slices []discoveryv1.EndpointSlice) map[string]sets.Set[string] {
	pods := map[string]sets.Set[string]{}
	for _, slice := range slices {
		if len(slice.Ports) == 0 {
			continue // None of the pods has the port that the Service names.
		}
		service := slice.Labels[discoveryv1.LabelServiceName]
		for _, endpoint := range slice.Endpoints {
			// Readiness that is not known counts as ready, says the API.
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if ready && endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod" {
				if pods[service] == nil {
					pods[service] = sets.New[string]()
				}
				pods[service].Insert(endpoint.TargetRef.Name)
			}
		}
	}
	return pods
}

// ofEndpoints wakes the Rollout whose canary's Service lists other pods. That of
// stable lists all pods of the workload at rest, which are not watched either.
func ofEndpoints(_ context.Context, object client.Object) []reconcile.Request {
	marks := object.GetLabels()
	name := marks[v1alpha1.LabelRollout]
	if name == "" || !strings.HasSuffix(marks[discoveryv1.LabelServiceName], canarySuffix) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}
