package live

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/controllers/internal/obstacles"
	"github.com/serin-gitops/serin/environments/rollout"
)

// state is a workload as the cluster has it.
type state struct {
	found    bool
	template corev1.PodTemplateSpec
	selector *metav1.LabelSelector
	// settled says that every pod runs the template and is ready.
	settled bool
	// progress in words.
	progress string
	// failure that the workload's own controller reports.
	failure string
	// refused is what keeps its controller from making pods, by its own words;
	// short says that there are fewer pods than wanted, and whose controller
	// tells no reason in its status.
	refused rollout.Obstacle
	short   bool
}

func ofDeployment(d *appsv1.Deployment) state {
	want, status := replicas(d.Spec.Replicas), d.Status
	is := state{found: true, template: d.Spec.Template, selector: d.Spec.Selector}
	is.settled = status.ObservedGeneration >= d.Generation && status.UpdatedReplicas == want &&
		status.AvailableReplicas == want && status.Replicas == want
	is.progress = progress(status.ObservedGeneration >= d.Generation, status.UpdatedReplicas, want, status.AvailableReplicas, "available")
	is.refused = obstacles.Refused(d)
	for _, condition := range status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing && condition.Reason == "ProgressDeadlineExceeded" && status.ObservedGeneration >= d.Generation {
			is.failure = "ProgressDeadlineExceeded: " + condition.Message
		}
	}
	if d.Spec.Paused && !is.settled {
		is.progress += "; the Deployment is paused"
	}
	return is
}

func ofStatefulSet(s *appsv1.StatefulSet) state {
	want, status := replicas(s.Spec.Replicas), s.Status
	is := state{found: true, template: s.Spec.Template, selector: s.Spec.Selector}
	is.settled = status.ObservedGeneration >= s.Generation && status.UpdatedReplicas == want && status.ReadyReplicas == want &&
		(want == 0 || status.CurrentRevision == status.UpdateRevision)
	is.progress = progress(status.ObservedGeneration >= s.Generation, status.UpdatedReplicas, want, status.ReadyReplicas, "ready")
	is.short = status.Replicas < want
	return is
}

func ofDaemonSet(d *appsv1.DaemonSet) state {
	want, status := d.Status.DesiredNumberScheduled, d.Status
	is := state{found: true, template: d.Spec.Template, selector: d.Spec.Selector}
	is.settled = status.ObservedGeneration >= d.Generation && status.UpdatedNumberScheduled == want && status.NumberAvailable == want
	is.progress = progress(status.ObservedGeneration >= d.Generation, status.UpdatedNumberScheduled, want, status.NumberAvailable, "available")
	is.short = status.CurrentNumberScheduled < want
	return is
}

// progress says how far a workload's own controller is. What that counted before
// it saw the newest template is of the one before.
func progress(seen bool, updated, want, up int32, word string) string {
	if !seen {
		return "its controller is yet to update its pods"
	}
	return fmt.Sprintf("updated pods: %d of %d, %s: %d", updated, want, word, up)
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
