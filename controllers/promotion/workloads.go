package promotion

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// watchedKinds are the kinds of workload whose roll-out is watched.
var watchedKinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

// live is a workload as the cluster has it.
type live struct {
	found    bool
	template corev1.PodTemplateSpec
	selector *metav1.LabelSelector
	// settled says that every pod runs the template and is ready.
	settled bool
	// progress in words.
	progress string
	// failure that the workload's own controller reports.
	failure string
}

// workloads looks at all workloads that the Release changes.
func (r *Reconciler) workloads(ctx context.Context, s *scope) ([]environments.Workload, *trouble.Trouble) {
	if len(s.workloads) == 0 && s.tip != nil {
		manifests, err := overlays.Render(s.tip.Files, s.overlay.Path)
		if err != nil {
			return nil, s.trouble("render the overlay", &trouble.OverlayError{Err: err})
		}
		s.workloads = s.changedWorkloads(manifests)
	}
	if len(s.workloads) == 0 && s.tip == nil {
		return nil, nil
	}
	if err := r.checkGrants(ctx, s, s.workloads); err != nil {
		return nil, s.trouble("watch the workloads", err)
	}
	found := make([]environments.Workload, 0, len(s.workloads))
	for _, wanted := range s.workloads {
		workload, err := r.workload(ctx, wanted)
		if err != nil {
			return nil, &trouble.Trouble{Reason: "ClusterUnreadable", Message: err.Error(), Err: err}
		}
		found = append(found, workload)
	}
	return found, nil
}

// checkGrants says whether the namespaces of the workloads let the Pipeline in.
func (r *Reconciler) checkGrants(ctx context.Context, s *scope, workloads []v1alpha1.PromotedWorkload) error {
	grants := access.Grants{Reader: r.Uncached}
	checked := map[string]bool{}
	for _, workload := range workloads {
		if checked[workload.Namespace] {
			continue
		}
		checked[workload.Namespace] = true
		if err := grants.Check(ctx, s.pipeline.Namespace, workload.Namespace, title(workload)); err != nil {
			return err
		}
	}
	return nil
}

// workload looks at one.
func (r *Reconciler) workload(ctx context.Context, wanted v1alpha1.PromotedWorkload) (environments.Workload, error) {
	is, err := r.read(ctx, wanted)
	if err != nil {
		return environments.Workload{}, fmt.Errorf("read %s: %w", title(wanted), err)
	}
	var rollouts v1alpha1.RolloutList
	if err := r.Client.List(ctx, &rollouts, client.InNamespace(wanted.Namespace)); err != nil {
		return environments.Workload{}, fmt.Errorf("list Rollouts in %s: %w", wanted.Namespace, err)
	}
	at := slices.IndexFunc(rollouts.Items, func(ro v1alpha1.Rollout) bool {
		// Rollouts of other kinds are refused by their controller: such a workload
		// rolls by itself, and is judged by its own readiness.
		return wanted.Kind == "Deployment" && ro.Spec.WorkloadRef.Kind == wanted.Kind && ro.Spec.WorkloadRef.Name == wanted.Name
	})
	if at >= 0 {
		return assessRollout(wanted, is, &rollouts.Items[at]), nil
	}
	pods, err := r.pods(ctx, wanted, is)
	if err != nil {
		return environments.Workload{}, err
	}
	return assess(wanted, is, pods), nil
}

// pods of a workload that is not settled.
func (r *Reconciler) pods(ctx context.Context, wanted v1alpha1.PromotedWorkload, is live) ([]corev1.Pod, error) {
	if !is.found || is.settled {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(is.selector)
	if err != nil {
		return nil, fmt.Errorf("selector of %s: %w", title(wanted), err)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(wanted.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", title(wanted), err)
	}
	return pods.Items, nil
}

// read gets a workload and puts what its kind says in one form.
func (r *Reconciler) read(ctx context.Context, wanted v1alpha1.PromotedWorkload) (live, error) {
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
		return live{}, fmt.Errorf("kind %s is not watched", wanted.Kind)
	}
	err := r.Client.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return live{}, nil
	}
	if err != nil {
		return live{}, err
	}
	switch object := object.(type) {
	case *appsv1.Deployment:
		return ofDeployment(object), nil
	case *appsv1.StatefulSet:
		return ofStatefulSet(object), nil
	case *appsv1.DaemonSet:
		return ofDaemonSet(object), nil
	}
	return live{}, nil
}

func ofDeployment(d *appsv1.Deployment) live {
	want, status := replicas(d.Spec.Replicas), d.Status
	is := live{found: true, template: d.Spec.Template, selector: d.Spec.Selector}
	is.settled = status.ObservedGeneration >= d.Generation && status.UpdatedReplicas == want &&
		status.AvailableReplicas == want && status.Replicas == want
	is.progress = fmt.Sprintf("%d of %d pods updated, %d available", status.UpdatedReplicas, want, status.AvailableReplicas)
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

func ofStatefulSet(s *appsv1.StatefulSet) live {
	want, status := replicas(s.Spec.Replicas), s.Status
	is := live{found: true, template: s.Spec.Template, selector: s.Spec.Selector}
	is.settled = status.ObservedGeneration >= s.Generation && status.UpdatedReplicas == want && status.ReadyReplicas == want &&
		(want == 0 || status.CurrentRevision == status.UpdateRevision)
	is.progress = fmt.Sprintf("%d of %d pods updated, %d ready", status.UpdatedReplicas, want, status.ReadyReplicas)
	return is
}

func ofDaemonSet(d *appsv1.DaemonSet) live {
	want, status := d.Status.DesiredNumberScheduled, d.Status
	is := live{found: true, template: d.Spec.Template, selector: d.Spec.Selector}
	is.settled = status.ObservedGeneration >= d.Generation && status.UpdatedNumberScheduled == want && status.NumberAvailable == want
	is.progress = fmt.Sprintf("%d of %d pods updated, %d available", status.UpdatedNumberScheduled, want, status.NumberAvailable)
	return is
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// briefly names images for people.
func briefly(references []string) string {
	names := make([]string, 0, len(references))
	for _, reference := range references {
		names = append(names, environments.ShortReference(reference))
	}
	return strings.Join(names, ", ")
}

func title(w v1alpha1.PromotedWorkload) string { return w.Kind + " " + w.Namespace + "/" + w.Name }

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
func assess(wanted v1alpha1.PromotedWorkload, is live, pods []corev1.Pod) environments.Workload {
	workload := environments.Workload{Name: title(wanted)}
	switch {
	case !is.found:
		workload.State, workload.Message = environments.WorkloadStale, "is not in the cluster"
	case !carries(is.template.Spec, wanted.Images):
		workload.State, workload.Message = environments.WorkloadStale, "does not name "+briefly(wanted.Images)+" yet"
	case is.settled:
		workload.State, workload.Message = environments.WorkloadReady, is.progress
	case is.failure != "":
		workload.State, workload.Message = environments.WorkloadFailed, is.failure
	default:
		workload.State, workload.Message = environments.WorkloadRolling, is.progress
		if failure := failedPod(pods, wanted.Images); failure != "" {
			workload.State, workload.Message = environments.WorkloadFailed, failure
		}
	}
	return workload
}

// hopeless are reasons of waiting containers that waiting does not help.
var hopeless = []string{
	"CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// failedPod names a pod of the new images that does not come up.
func failedPod(pods []corev1.Pod, wanted []string) string {
	for _, pod := range pods {
		if !pod.DeletionTimestamp.IsZero() || !carries(pod.Spec, wanted) {
			continue
		}
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if waiting := container.State.Waiting; waiting != nil && slices.Contains(hopeless, waiting.Reason) {
				return fmt.Sprintf("pod %s, container %s: %s: %s%s", pod.Name, container.Name, waiting.Reason, shortened(waiting.Message, maxDetail), lastExit(container))
			}
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

// assessRollout judges a workload by its Rollout.
func assessRollout(wanted v1alpha1.PromotedWorkload, is live, rollout *v1alpha1.Rollout) environments.Workload {
	status := rollout.Status
	workload := environments.Workload{
		Name:    title(wanted),
		State:   environments.WorkloadRolling,
		Message: fmt.Sprintf("Rollout %s is %s: %s", rollout.Name, status.Phase, status.Message),
	}
	if !is.found || !carries(is.template.Spec, wanted.Images) {
		workload.State = environments.WorkloadStale
		workload.Message = "does not name " + briefly(wanted.Images) + " yet"
		return workload
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
			workload.State = environments.WorkloadFailed
			workload.Message = fmt.Sprintf("Rollout %s rolled back: %s", rollout.Name, status.Failure)
		}
	case v1alpha1.RolloutBaking:
		if hasImages(status.Stable, wanted.Images) || hasImages(status.Canary, wanted.Images) {
			workload.State = environments.WorkloadBaking
		}
	case v1alpha1.RolloutHealthy:
		if hasImages(status.Stable, wanted.Images) && is.settled {
			workload.State = environments.WorkloadReady
		}
	default:
	}
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
