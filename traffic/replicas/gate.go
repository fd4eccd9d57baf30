package replicas

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/traffic"
)

// GateTraffic is the readiness gate of canary pods.
const GateTraffic corev1.PodConditionType = "serin.dev/traffic"

// Gate opens and closes the readiness gate of pods; it implements traffic.Gate.
type Gate struct {
	// Client writes the status of pods.
	Client client.Client
}

var _ traffic.Gate = Gate{}

// Set implements traffic.Gate. It patches the one condition of the pod's status
// by its type, so that it never collides with the kubelet's own.
func (g Gate) Set(ctx context.Context, namespace, name string, open bool) error {
	condition := corev1.PodCondition{
		Type: GateTraffic, Status: corev1.ConditionFalse, Reason: "Dismissed",
		Message: "the rollout takes this pod out of traffic", LastTransitionTime: metav1.Now(),
	}
	if open {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "Admitted", "the rollout admits this pod to traffic"
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{condition}}})
	if err != nil {
		return fmt.Errorf("gate of pod %s/%s: %w", namespace, name, err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err = g.Client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch))
	switch {
	case err == nil, apierrors.IsNotFound(err) && !open:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("pod %s/%s: %w", namespace, name, traffic.ErrNotFound)
	}
	return fmt.Errorf("set the gate of pod %s/%s: %w", namespace, name, err)
}
