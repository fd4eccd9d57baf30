package live

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis/workload"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/obstacles"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
)

// maxDetail bounds what the kubelet says of a pod within a message, in bytes.
const maxDetail = 200

// maxObstacle bounds what is said of an obstacle within a message, in bytes.
const maxObstacle = 500

// briefly names images for people.
func briefly(references []string) string {
	names := make([]string, 0, len(references))
	for _, reference := range references {
		names = append(names, environments.ShortReference(reference))
	}
	return strings.Join(names, ", ")
}

// carries says whether a pod's containers run all the images.
func carries(spec corev1.PodSpec, wanted []string) bool {
	for _, reference := range wanted {
		want, err := environments.ParseImage(reference)
		if err != nil {
			return false
		}
		if !slices.ContainsFunc(slices.Concat(spec.Containers, spec.InitContainers), func(c corev1.Container) bool {
			is, err := environments.ParseImage(c.Image)
			return err == nil && is.Same(want)
		}) {
			return false
		}
	}
	return true
}

// assess judges a workload without Rollout by its own readiness.
func assess(wanted v1alpha1.PromotedWorkload, is state, pods []corev1.Pod) promotion.Workload {
	found := promotion.Workload{Name: Title(wanted)}
	switch {
	case !is.found:
		found.State, found.Message = promotion.WorkloadStale, "is not in the cluster"
	case !carries(is.template.Spec, wanted.Images):
		found.State, found.Message = promotion.WorkloadStale, "does not name "+briefly(wanted.Images)+" yet"
	case is.settled:
		found.State, found.Message = promotion.WorkloadReady, is.progress
	default:
		assessPods(&found, wanted, is, pods)
	}
	return found
}

// assessPods judges a workload that is not settled. What its new pods show of
// themselves fails it; what keeps them from coming up through no fault of theirs
// holds it, and explains a deadline of its own controller.
func assessPods(found *promotion.Workload, wanted v1alpha1.PromotedWorkload, is state, pods []corev1.Pod) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return !pod.DeletionTimestamp.IsZero() })
	ofImages := slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return !carries(pod.Spec, wanted.Images) })
	obstacle := obstacles.OfPods(ofImages)
	if obstacle.Reason == "" {
		obstacle = is.refused
	}
	failure := failedPod(ofImages)
	found.State, found.Message = promotion.WorkloadRolling, is.progress
	switch {
	case failure != "":
		found.State, found.Message = promotion.WorkloadFailed, failure
	case obstacle.Reason != "":
		found.Stopped, found.Held = true, obstacle.Reason
		found.Message += "; held, and not for a fault of the images: " + status.OneLine(obstacle.Message, maxObstacle)
	case is.failure != "":
		found.State, found.Message = promotion.WorkloadFailed, is.failure
	case is.short && !slices.ContainsFunc(pods, unready):
		// Neither a StatefulSet nor a DaemonSet says in its status that pods are
		// refused, and both are short for a moment between two pods: so the clock
		// stands, and no more is made of it.
		found.Stopped = true
		found.Message += "; it has fewer pods than it wants, and those are ready: where that lasts, its events say what refuses the others, such as a quota"
	}
}

func unready(pod corev1.Pod) bool { return !status.PodIs(&pod, corev1.PodReady) }

// hopeless are reasons of waiting containers that waiting does not help.
var hopeless = []string{
	"CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// failedPod names a pod that does not come up, and that waiting does not help.
func failedPod(pods []corev1.Pod) string {
	for _, pod := range pods {
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			waiting := container.State.Waiting
			if waiting == nil || !slices.Contains(hopeless, waiting.Reason) || workload.SourceAway(waiting.Reason, waiting.Message) {
				continue
			}
			return fmt.Sprintf("pod %s, container %s: %s: %s%s", pod.Name, container.Name, waiting.Reason, status.OneLine(waiting.Message, maxDetail), lastExit(container))
		}
	}
	return ""
}

// lastExit says how a container ended before.
func lastExit(container corev1.ContainerStatus) string {
	ended := container.LastTerminationState.Terminated
	if ended == nil {
		return ""
	}
	return fmt.Sprintf(" (last: %s, exit code %d)", ended.Reason, ended.ExitCode)
}

// assessRollout judges a workload by its Rollout, for a Promotion that was created
// at the time given.
func assessRollout(wanted v1alpha1.PromotedWorkload, is state, rollout *v1alpha1.Rollout, created metav1.Time) promotion.Workload {
	status := rollout.Status
	workload := promotion.Workload{
		Name:    Title(wanted),
		State:   promotion.WorkloadRolling,
		Message: fmt.Sprintf("Rollout %s is %s: %s", rollout.Name, status.Phase, status.Message),
	}
	if is.found && returned(wanted, status, created) {
		return rolledBack(workload, rollout)
	}
	if !is.found || !carries(is.template.Spec, wanted.Images) {
		workload.State = promotion.WorkloadStale
		workload.Message = "does not name " + briefly(wanted.Images) + " yet"
		return workload
	}
	if !begun(wanted, status) {
		workload.Message = fmt.Sprintf("Rollout %s has not begun with %s yet (it is %s: %s)", rollout.Name, briefly(wanted.Images), status.Phase, status.Message)
	}
	workload.Stopped = status.ClockStopped != "" || status.Phase == v1alpha1.RolloutPaused
	if hasImages(status.Canary, wanted.Images) || hasImages(status.Stable, wanted.Images) {
		workload.Evidence = status.Evidence
	}
	switch status.Phase {
	case v1alpha1.RolloutRollingBack, v1alpha1.RolloutRolledBack:
		// Without a failure the trial was only withdrawn: for a newer template, or
		// because a person resumed the workload.
		if status.Failure != "" && hasImages(status.Canary, wanted.Images) {
			return rolledBack(workload, rollout)
		}
	case v1alpha1.RolloutBaking:
		if hasImages(status.Stable, wanted.Images) || hasImages(status.Canary, wanted.Images) {
			workload.State = promotion.WorkloadBaking
		}
	case v1alpha1.RolloutHealthy:
		if hasImages(status.Stable, wanted.Images) && is.settled {
			workload.State = promotion.WorkloadReady
		}
	default:
	}
	return workload
}

// returned says that the images failed in a trial that this Promotion led to. A
// failure after the workload had rolled gives it the template of stable again, so
// that it does not name them any more, and a moment later its Rollout is Healthy
// on stable: it is no workload that Git has not reached yet.
func returned(wanted v1alpha1.PromotedWorkload, status v1alpha1.RolloutStatus, created metav1.Time) bool {
	ours := status.TrialStarted != nil && !status.TrialStarted.Before(&created)
	return status.Failure != "" && ours && hasImages(status.Canary, wanted.Images) && !hasImages(status.Stable, wanted.Images)
}

// begun says whether a Rollout's status is of the images: while it is of other
// ones, its phase tells nothing of these.
func begun(wanted v1alpha1.PromotedWorkload, status v1alpha1.RolloutStatus) bool {
	onTrial := status.Phase != v1alpha1.RolloutHealthy && hasImages(status.Canary, wanted.Images)
	return status.Stable == nil || onTrial || hasImages(status.Stable, wanted.Images)
}

func rolledBack(workload promotion.Workload, rollout *v1alpha1.Rollout) promotion.Workload {
	workload.Evidence = rollout.Status.Evidence
	workload.State = promotion.WorkloadFailed
	workload.Message = fmt.Sprintf("Rollout %s rolled back: %s", rollout.Name, rollout.Status.Failure)
	return workload
}

// hasImages says whether a revision runs all the images.
func hasImages(revision *v1alpha1.Revision, wanted []string) bool {
	if revision == nil {
		return false
	}
	spec := corev1.PodSpec{}
	for _, image := range revision.Images {
		spec.Containers = append(spec.Containers, corev1.Container{Image: image})
	}
	return carries(spec, wanted)
}
