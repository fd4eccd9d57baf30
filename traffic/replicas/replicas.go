// Package replicas moves traffic by the number of pods: canary and stable stand
// behind the user's own Service, and the canary's pods are admitted to it, one
// by one, by a readiness gate. It needs no gateway and works for traffic within
// the cluster.
package replicas

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/traffic"
)

// LabelArm tells the canary's pods, whose value is ArmCanary, from all others
// behind the same Service.
const (
	LabelArm  = "serin.dev/arm"
	ArmCanary = "canary"
)

// Router moves traffic by the number of pods; it implements traffic.Router.
type Router struct {
	// Client reads Services and pods, from a cache.
	Client client.Client
	// Gate admits and dismisses pods.
	Gate traffic.Gate
}

var _ traffic.Router = Router{}

// Plan implements traffic.Router. More than half of the traffic cannot be
// reached, because stable is not scaled down.
func (r Router) Plan(target traffic.Target, weight environments.Weight) traffic.Plan {
	canary := traffic.CanaryAmong(target.StableReplicas, weight)
	reached := traffic.ShareOf(target.StableReplicas, canary)
	if weight == 0 {
		reached = 0
	}
	return traffic.Plan{CanaryReplicas: canary, Reachable: reached}
}

// Observe implements traffic.Router: the weight is the canary's share of the
// pods that the Service sends requests to now.
func (r Router) Observe(ctx context.Context, target traffic.Target, _ environments.Weight) (traffic.State, error) {
	pods, err := r.pods(ctx, target)
	if err != nil {
		return traffic.State{}, err
	}
	var stable, canary int32
	admitted := false
	for _, pod := range pods {
		isCanary := pod.Labels[LabelArm] == ArmCanary
		admitted = admitted || isCanary && open(pod)
		switch {
		case !ready(pod):
		case isCanary:
			canary++
		default:
			stable++
		}
	}
	return traffic.State{Weight: traffic.ShareOf(stable, canary), Reached: true, Released: !admitted}, nil
}

// Set implements traffic.Router. Weight 0 dismisses every canary pod; which
// pods are admitted for a greater one is said by the gate.
func (r Router) Set(ctx context.Context, target traffic.Target, weight environments.Weight) error {
	if weight > 0 {
		return nil
	}
	return r.Release(ctx, target)
}

// Release implements traffic.Router: it dismisses every canary pod.
func (r Router) Release(ctx context.Context, target traffic.Target) error {
	pods, err := r.pods(ctx, target)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if pod.Labels[LabelArm] != ArmCanary || !open(pod) {
			continue
		}
		if err := r.Gate.Set(ctx, pod.Namespace, pod.Name, false); err != nil {
			return err
		}
	}
	return nil
}

// pods are those behind the user's Service.
func (r Router) pods(ctx context.Context, target traffic.Target) ([]corev1.Pod, error) {
	var service corev1.Service
	key := client.ObjectKey{Namespace: target.Namespace, Name: target.Service}
	if err := r.Client.Get(ctx, key, &service); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("the Service %s of traffic.service: %w", key, traffic.ErrNotFound)
		}
		return nil, fmt.Errorf("read Service %s: %w", key, err)
	}
	if len(service.Spec.Selector) == 0 {
		return nil, fmt.Errorf("the Service %s of traffic.service selects no pods: name one with a selector", key)
	}
	var pods corev1.PodList
	selector := client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(service.Spec.Selector)}
	if err := r.Client.List(ctx, &pods, client.InNamespace(target.Namespace), selector); err != nil {
		return nil, fmt.Errorf("list the pods of Service %s: %w", key, err)
	}
	return pods.Items, nil
}

func ready(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && condition(pod, corev1.PodReady)
}

func open(pod corev1.Pod) bool { return condition(pod, GateTraffic) }

func condition(pod corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
