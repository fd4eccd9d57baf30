// Package obstacles says what keeps pods from coming up though it is no fault of
// their revision, by the words of the scheduler, the kubelet and the API server.
package obstacles

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/serin-gitops/serin/analysis/workload"
	"github.com/serin-gitops/serin/environments/rollout"
)

// OfDeployment is the first obstacle of pods of a Deployment, and then of those
// that it could not make.
func OfDeployment(d *appsv1.Deployment, pods []corev1.Pod) rollout.Obstacle {
	if o := OfPods(pods); o.Reason != "" {
		return o
	}
	return Refused(d)
}

// Refused is what keeps a Deployment from making pods.
func Refused(d *appsv1.Deployment) rollout.Obstacle {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return rollout.Obstacle{Reason: rollout.PodsRefused, Message: fmt.Sprintf(
				"the API server takes no more pods of Deployment %s: %s; raise the quota, or mend what refuses them", d.Name, c.Message)}
		}
	}
	return rollout.Obstacle{}
}

// OfPods is the first obstacle of the pods.
func OfPods(pods []corev1.Pod) rollout.Obstacle {
	for i := range pods {
		if o := ofPod(&pods[i]); o.Reason != "" {
			return o
		}
	}
	return rollout.Obstacle{}
}

func ofPod(pod *corev1.Pod) rollout.Obstacle {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return rollout.Obstacle{Reason: rollout.NoRoom, Message: fmt.Sprintf(
				"no node takes pod %s (%s): %s; make room, or correct what the pod asks for", pod.Name, c.Reason, c.Message)}
		}
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range statuses {
			if waits := c.State.Waiting; waits != nil && workload.SourceAway(waits.Reason, waits.Message) {
				return rollout.Obstacle{Reason: rollout.ImageSourceAway, Message: fmt.Sprintf(
					"the image of container %s of pod %s cannot be fetched now: %s: %s; mend the registry, the way to it or the node", c.Name, pod.Name, waits.Reason, waits.Message)}
			}
		}
	}
	return rollout.Obstacle{}
}
