package analysisrun

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// podStates describes pods to the judge.
func podStates(pods []corev1.Pod) []analysis.PodState {
	states := make([]analysis.PodState, 0, len(pods))
	for i := range pods {
		states = append(states, podState(&pods[i]))
	}
	return states
}

func podState(pod *corev1.Pod) analysis.PodState {
	state := analysis.PodState{
		Name: pod.Name, Created: pod.CreationTimestamp.Time, Deleting: pod.DeletionTimestamp != nil, Phase: string(pod.Status.Phase),
	}
	for _, c := range pod.Status.Conditions {
		switch c.Type {
		case corev1.PodScheduled:
			state.Scheduled = c.Status == corev1.ConditionTrue
			state.SchedulingMessage = c.Message
			if state.Scheduled {
				state.ScheduledAt = c.LastTransitionTime.Time
			}
		case corev1.ContainersReady:
			state.ContainersReady = c.Status == corev1.ConditionTrue
			state.Since = c.LastTransitionTime.Time
		}
	}
	for _, c := range pod.Status.InitContainerStatuses {
		state.Containers = append(state.Containers, containerState(c, true))
	}
	for _, c := range pod.Status.ContainerStatuses {
		state.Containers = append(state.Containers, containerState(c, false))
	}
	return state
}

func containerState(c corev1.ContainerStatus, init bool) analysis.ContainerState {
	state := analysis.ContainerState{Name: c.Name, Init: init, Restarts: c.RestartCount, Ready: c.Ready}
	if c.State.Waiting != nil {
		state.Waiting, state.WaitingMessage = c.State.Waiting.Reason, c.State.Waiting.Message
	}
	if c.State.Running != nil {
		state.StartedAt = c.State.Running.StartedAt.Time
	}
	ended := c.State.Terminated
	if ended == nil {
		ended = c.LastTerminationState.Terminated
	}
	if ended != nil {
		state.Terminated, state.ExitCode = ended.Reason, ended.ExitCode
	}
	return state
}

// up are the pods whose containers are ready and that have an address: those
// that can be asked.
func up(pods []corev1.Pod) []Pod {
	var out []Pod
	for i := range pods {
		if pods[i].Status.PodIP != "" && containersReady(&pods[i]) {
			out = append(out, Pod{Name: pods[i].Name, IP: pods[i].Status.PodIP})
		}
	}
	return out
}

func containersReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.ContainersReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// seriesOf says which time series belong to the arms of a trial: those whose
// label pod begins with the name of one of the arm's ReplicaSets.
func seriesOf(trial rollout.Trial) Series {
	ro := trial.Rollout
	return Series{
		Arms: analysis.Arms{Stable: matcher(ro.Namespace, trial.Stable), Canary: matcher(ro.Namespace, trial.Canary)},
		Args: Args(ro), Born: births(trial),
	}
}

// Args fill the placeholders in the queries of a Rollout's checks.
func Args(ro *v1alpha1.Rollout) map[string]string {
	return map[string]string{
		"serin.namespace": ro.Namespace, "serin.workload": ro.Spec.WorkloadRef.Name, "serin.service": ro.Spec.Traffic.Service,
		"serin.stableService": ro.Spec.WorkloadRef.Name + "-stable", "serin.canaryService": ro.Spec.WorkloadRef.Name + "-canary",
		"serin.stableHash": hashOf(ro.Status.Stable), "serin.canaryHash": hashOf(ro.Status.Canary),
	}
}

func hashOf(r *v1alpha1.Revision) string {
	if r == nil {
		return ""
	}
	return r.PodTemplateHash
}

func matcher(namespace string, pods []corev1.Pod) string {
	var owners []string
	for i := range pods {
		if owner := metav1.GetControllerOf(&pods[i]); owner != nil {
			owners = append(owners, regexp.QuoteMeta(owner.Name)+"-.+")
		}
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	if len(owners) == 0 {
		// No pod has this name, so no series matches.
		owners = []string{"-"}
	}
	return fmt.Sprintf(`namespace=%q,pod=~%q`, namespace, strings.Join(owners, "|"))
}

// births tells when the containers behind a series began to run, so that the
// first sample of a new pod counts from 0.
func births(trial rollout.Trial) counting.Born {
	born := map[string]time.Time{}
	for _, pods := range [][]corev1.Pod{trial.Stable, trial.Canary} {
		for i := range pods {
			for _, c := range pods[i].Status.ContainerStatuses {
				if c.State.Running != nil && c.State.Running.StartedAt.After(born[pods[i].Name]) {
					born[pods[i].Name] = c.State.Running.StartedAt.Time
				}
			}
		}
	}
	return func(labels map[string]string) (time.Time, bool) {
		at, found := born[labels["pod"]]
		return at, found
	}
}
