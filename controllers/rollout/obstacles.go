package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lateness is how long after its grace period a pod that ends is waited for
// before its node is asked about.
const lateness = 30 * time.Second

// ending names the pods of a Deployment that is being deleted which are late on
// their way out, and says whether all that are left are on nodes that do not
// answer.
func (r *Reconciler) ending(ctx context.Context, d *appsv1.Deployment, sets []appsv1.ReplicaSet) (string, bool, error) {
	pods, err := r.allPodsOf(ctx, d, sets)
	if err != nil {
		return "", false, err
	}
	var late []string
	stranded := len(pods) > 0
	for i := range pods {
		pod := &pods[i]
		// The API server sets deletionTimestamp to the end of the grace period.
		if pod.DeletionTimestamp == nil || r.Now().Before(pod.DeletionTimestamp.Add(lateness)) {
			stranded = false
			continue
		}
		answers, err := r.answers(ctx, pod.Spec.NodeName)
		if err != nil {
			return "", false, err
		}
		words := fmt.Sprintf("pod %s on node %s, which should have ended at %s", pod.Name, pod.Spec.NodeName, pod.DeletionTimestamp.UTC().Format(time.RFC3339))
		if !answers {
			words += " and whose node does not answer"
		}
		late = append(late, words)
		stranded = stranded && !answers
	}
	return strings.Join(late, "; "), stranded, nil
}

// answers says whether a node is there and ready.
func (r *Reconciler) answers(ctx context.Context, name string) (bool, error) {
	var node corev1.Node
	err := r.Nodes.Get(ctx, client.ObjectKey{Name: name}, &node)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read node %s, whose pod does not end: %w", name, err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, nil
		}
	}
	return false, nil
}
