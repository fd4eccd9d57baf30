package analysisrun

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// serviceOf names the Service that an http check asks beside the pods: the
// canary's once it has traffic, and while it bakes the user's own, behind which
// is nothing else any more. Empty where there is none to ask.
func serviceOf(check analysis.Check, trial rollout.Trial) string {
	ro := trial.Rollout
	switch {
	case check.HTTP == nil || !check.HTTP.Service || !trial.Serving:
		return ""
	case ro.Status.Phase == v1alpha1.RolloutBaking:
		return ro.Spec.Traffic.Service
	case ro.Status.Phase == v1alpha1.RolloutFinalising:
		return ""
	}
	return ro.Spec.WorkloadRef.Name + canarySuffix
}

// services finds where a Service is asked, at its own port.
func (a *Analyst) services(ctx context.Context, check analysis.Check, namespace, name string) ([]Pod, error) {
	if name == "" {
		return nil, nil
	}
	var service corev1.Service
	err := a.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service)
	if apierrors.IsNotFound(err) {
		return nil, &analysis.Absence{Kind: analysis.NoData, Message: fmt.Sprintf("there is no Service %s/%s to ask", namespace, name)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the Service %s/%s: %w", namespace, name, err)
	}
	var ports []string
	for _, port := range service.Spec.Ports {
		if port.Port == check.HTTP.Port {
			at := service.Spec.ClusterIP
			if at == "" || at == corev1.ClusterIPNone {
				at = name + "." + namespace + ".svc"
			}
			return []Pod{{Name: name, IP: at}}, nil
		}
		ports = append(ports, strconv.Itoa(int(port.Port)))
	}
	return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("http.port is %d, and the Service %s/%s has no such port, but %s: the Service is asked at its own port of the same number",
		check.HTTP.Port, namespace, name, strings.Join(ports, ", "))}
}

// What Serin's own Services are named after the workload.
const canarySuffix, stableSuffix = "-canary", "-stable"

// seriesOf says which time series belong to the arms of a trial: those whose
// label pod begins with the name of one of the arm's ReplicaSets.
func seriesOf(trial rollout.Trial) Series {
	ro := trial.Rollout
	return Series{
		Arms: analysis.Arms{Stable: matcher(ro.Namespace, trial.Stable), Canary: matcher(ro.Namespace, trial.Canary)},
		Args: Args(ro), Born: births(trial), Alone: ro.Status.Phase == v1alpha1.RolloutBaking && len(trial.Stable) == 0,
	}
}

// Args fill the placeholders in the queries of a Rollout's checks.
func Args(ro *v1alpha1.Rollout) map[string]string {
	return map[string]string{
		"serin.namespace": ro.Namespace, "serin.workload": ro.Spec.WorkloadRef.Name, "serin.service": ro.Spec.Traffic.Service,
		"serin.stableService": ro.Spec.WorkloadRef.Name + stableSuffix, "serin.canaryService": ro.Spec.WorkloadRef.Name + canarySuffix,
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
