// Package live looks at what the cluster has of a Promotion: the workloads that
// should run its images, and whatever applies Git.
package live

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/internal/rivals"
	"github.com/serin-gitops/serin/environments/promotion"
)

// Cluster is where the workloads are.
type Cluster struct {
	// Client reads from the caches; Uncached asks the API server.
	Client   client.Client
	Uncached client.Reader
}

// Watched says whether the roll-out of a kind of workload is watched.
func Watched(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind)
}

// Title names a workload for people: its kind, namespace and name.
func Title(w v1alpha1.PromotedWorkload) string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// Check says whether the namespaces of the workloads let Pipelines of namespace
// from in. Errors: access.GrantError, and that of reading.
func (c Cluster) Check(ctx context.Context, from string, workloads []v1alpha1.PromotedWorkload) error {
	checked := map[string]bool{}
	for _, workload := range workloads {
		if checked[workload.Namespace] {
			continue
		}
		checked[workload.Namespace] = true
		if err := c.grants().Check(ctx, from, workload.Namespace, Title(workload)); err != nil {
			return err
		}
	}
	return nil
}

func (c Cluster) grants() access.Grants { return access.Grants{Reader: c.Uncached} }

// Workloads looks at workloads that should run images, for a Promotion that was
// created at the time given.
func (c Cluster) Workloads(ctx context.Context, wanted []v1alpha1.PromotedWorkload, created metav1.Time) ([]promotion.Workload, error) {
	found := make([]promotion.Workload, 0, len(wanted))
	for _, one := range wanted {
		workload, err := c.workload(ctx, one, created)
		if err != nil {
			return nil, err
		}
		found = append(found, workload)
	}
	return found, nil
}

// workload looks at one.
func (c Cluster) workload(ctx context.Context, wanted v1alpha1.PromotedWorkload, created metav1.Time) (promotion.Workload, error) {
	is, err := c.read(ctx, wanted)
	if err != nil {
		return promotion.Workload{}, fmt.Errorf("read %s: %w", Title(wanted), err)
	}
	var rollouts v1alpha1.RolloutList
	if err := c.Client.List(ctx, &rollouts, client.InNamespace(wanted.Namespace)); err != nil {
		return promotion.Workload{}, fmt.Errorf("list Rollouts in %s: %w", wanted.Namespace, err)
	}
	leader := rivals.Leader(rollouts.Items, v1alpha1.WorkloadReference{Kind: wanted.Kind, Name: wanted.Name})
	// Rollouts of other kinds are refused by their controller: such a workload
	// rolls by itself, and is judged by its own readiness.
	if leader != nil && wanted.Kind == "Deployment" {
		return assessRollout(wanted, is, leader, created), nil
	}
	pods, err := c.pods(ctx, wanted, is)
	if err != nil {
		return promotion.Workload{}, err
	}
	return assess(wanted, is, pods), nil
}

// pods of a workload that is not settled.
func (c Cluster) pods(ctx context.Context, wanted v1alpha1.PromotedWorkload, is state) ([]corev1.Pod, error) {
	if !is.found || is.settled {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(is.selector)
	if err != nil {
		return nil, fmt.Errorf("selector of %s: %w", Title(wanted), err)
	}
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, client.InNamespace(wanted.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", Title(wanted), err)
	}
	return pods.Items, nil
}

// read gets a workload and puts what its kind says in one form.
func (c Cluster) read(ctx context.Context, wanted v1alpha1.PromotedWorkload) (state, error) {
	key := types.NamespacedName{Namespace: wanted.Namespace, Name: wanted.Name}
	var object client.Object
	switch wanted.Kind {
	case "Deployment":
		object = &appsv1.Deployment{}
	case "StatefulSet":
		object = &appsv1.StatefulSet{}
	case "DaemonSet":
		object = &appsv1.DaemonSet{}
	default:
		return state{}, fmt.Errorf("kind %s is not watched", wanted.Kind)
	}
	err := c.Client.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	switch object := object.(type) {
	case *appsv1.Deployment:
		return ofDeployment(object), nil
	case *appsv1.StatefulSet:
		return ofStatefulSet(object), nil
	case *appsv1.DaemonSet:
		return ofDaemonSet(object), nil
	}
	return state{}, nil
}
