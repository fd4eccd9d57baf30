package live

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/promotion"
)

const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"

var wanted = v1alpha1.PromotedWorkload{
	Kind: "Deployment", Namespace: "app", Name: "web", Images: []string{"registry.test/app:v2@" + digest},
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "side", Image: "registry.test/side:v9"}, {Name: "app", Image: image}}}
}

func deployment(image string, change func(*appsv1.Deployment)) state {
	three := int32(3)
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &three, Template: corev1.PodTemplateSpec{Spec: podSpec(image)}}}
	d.Generation = 2
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3}
	change(d)
	return ofDeployment(d)
}

func pod(image, reason string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1"}, Spec: podSpec(image),
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "why"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2}},
		}}},
	}
}

// pending is a pod that no node takes.
func pending(image string) corev1.Pod {
	p := pod(image, "")
	p.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient cpu."}}}
	return p
}

// TestHeldUp wants nothing held against images whose pods cannot come up for what
// is not their fault, however late their own controller finds them, and a crash
// beside that to count.
func TestHeldUp(t *testing.T) {
	late := func(d *appsv1.Deployment) {
		d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 1, 2
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded", Message: "timed out"}}
	}
	refused := func(d *appsv1.Deployment) {
		late(d)
		d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota: small"})
	}
	away := pod(wanted.Images[0], "ImagePullBackOff")
	away.Status.ContainerStatuses[0].State.Waiting.Message = `Back-off pulling image "a": ErrImagePull: unexpected status from HEAD request to http://r/v2/a: 503 Service Unavailable`
	gone := pending(wanted.Images[0])
	gone.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	image := wanted.Images[0]
	for _, c := range []struct {
		name  string
		is    state
		pods  []corev1.Pod
		state promotion.WorkloadState
		held  string
		says  string
	}{
		{"no node has room", deployment(image, late), []corev1.Pod{pending(image)}, promotion.WorkloadRolling, "NoRoom", "Insufficient cpu"},
		{"a quota", deployment(image, refused), nil, promotion.WorkloadRolling, "PodsRefused", "exceeded quota: small"},
		{"the registry is away", deployment(image, late), []corev1.Pod{away}, promotion.WorkloadRolling, "ImageSourceAway", "503"},
		{"a crash beside it", deployment(image, late), []corev1.Pod{pending(image), pod(image, "CrashLoopBackOff")}, promotion.WorkloadFailed, "", "CrashLoopBackOff"},
		{"an old pod has no room", deployment(image, late), []corev1.Pod{pending("registry.test/app:v1")}, promotion.WorkloadFailed, "", "timed out"},
		{"one on its way out has none", deployment(image, late), []corev1.Pod{gone}, promotion.WorkloadFailed, "", "timed out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := assess(wanted, c.is, c.pods)
			if got.State != c.state || got.Held != c.held || got.Stopped != (c.held != "") || !strings.Contains(got.Message, c.says) {
				t.Errorf("%s, held %q, stopped %t: %q; want %s, %q, %q", got.State, got.Held, got.Stopped, got.Message, c.state, c.held, c.says)
			}
		})
	}
}

// TestPodsThatAreNotMade wants the clock to stand for kinds whose controllers do
// not say in their status that pods are refused.
func TestPodsThatAreNotMade(t *testing.T) {
	three := int32(3)
	set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: &three, Template: corev1.PodTemplateSpec{Spec: podSpec(wanted.Images[0])}}}
	set.Status = appsv1.StatefulSetStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2}
	daemons := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: podSpec(wanted.Images[0])}}}
	daemons.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2}
	up := corev1.Pod{Spec: podSpec(wanted.Images[0]), Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	down := corev1.Pod{Spec: podSpec(wanted.Images[0])}
	for name, is := range map[string]state{"StatefulSet": ofStatefulSet(set), "DaemonSet": ofDaemonSet(daemons)} {
		if got := assess(wanted, is, []corev1.Pod{up, up}); got.State != promotion.WorkloadRolling || !got.Stopped {
			t.Errorf("%s without its third pod: %s, stopped %t: %s", name, got.State, got.Stopped, got.Message)
		}
		if got := assess(wanted, is, []corev1.Pod{up, down}); got.State != promotion.WorkloadRolling || got.Stopped {
			t.Errorf("%s that waits for its second pod: %s, stopped %t: %s", name, got.State, got.Stopped, got.Message)
		}
	}
}

func TestAssess(t *testing.T) {
	none := func(*appsv1.Deployment) {}
	rolling := func(d *appsv1.Deployment) { d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 1, 2 }
	for _, c := range []struct {
		name  string
		is    state
		pods  []corev1.Pod
		state promotion.WorkloadState
		says  string
	}{
		{"missing", state{}, nil, promotion.WorkloadStale, "not in the cluster"},
		{"the old image", deployment("registry.test/app:v1", none), nil, promotion.WorkloadStale, "does not name"},
		{"ready, by digest alone", deployment("registry.test/app@"+digest, none), nil, promotion.WorkloadReady, ""},
		{"not seen by its controller yet", deployment(wanted.Images[0], func(d *appsv1.Deployment) { d.Generation = 3 }), nil, promotion.WorkloadRolling, "its controller is yet to update its pods"},
		{"an old pod is left", deployment(wanted.Images[0], func(d *appsv1.Deployment) { d.Status.Replicas = 4 }), nil, promotion.WorkloadRolling, "updated pods: 3 of 3, available: 3"},
		{"paused", deployment(wanted.Images[0], func(d *appsv1.Deployment) { rolling(d); d.Spec.Paused = true }), nil, promotion.WorkloadRolling, "paused"},
		{"past its own deadline", deployment(wanted.Images[0], func(d *appsv1.Deployment) {
			rolling(d)
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded", Message: "timed out"}}
		}), nil, promotion.WorkloadFailed, "timed out"},
		{"starting", deployment(wanted.Images[0], rolling), []corev1.Pod{pod(wanted.Images[0], "ContainerCreating")}, promotion.WorkloadRolling, ""},
		{"crashing", deployment(wanted.Images[0], rolling), []corev1.Pod{pod(wanted.Images[0], "CrashLoopBackOff")}, promotion.WorkloadFailed, "pod web-1, container app: CrashLoopBackOff: why (last: Error, exit code 2)"},
		{"an old pod crashes", deployment(wanted.Images[0], rolling), []corev1.Pod{pod("registry.test/app:v1", "CrashLoopBackOff")}, promotion.WorkloadRolling, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := assess(wanted, c.is, c.pods)
			if got.State != c.state || !strings.Contains(got.Message, c.says) {
				t.Errorf("%s: %q; want %s: %q", got.State, got.Message, c.state, c.says)
			}
		})
	}
}

func TestAssessRollout(t *testing.T) {
	oldRevision := &v1alpha1.Revision{Images: []string{"registry.test/app:v1"}}
	newRevision := &v1alpha1.Revision{Images: []string{wanted.Images[0]}}
	settled := deployment(wanted.Images[0], func(*appsv1.Deployment) {})
	previous := deployment("registry.test/app:v1", func(*appsv1.Deployment) {})
	created := metav1.Unix(1_700_000_000, 0)
	now, before := metav1.Unix(1_700_000_000, 0), metav1.Unix(1_699_999_999, 0)
	held := deployment(wanted.Images[0], func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 0 })
	for _, c := range []struct {
		name    string
		is      state
		status  v1alpha1.RolloutStatus
		state   promotion.WorkloadState
		stopped bool
		says    string
	}{
		{"not applied yet", deployment("registry.test/app:v1", func(*appsv1.Deployment) {}), v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Stable: newRevision}, promotion.WorkloadStale, false, "does not name app:v2"},
		{"not seen yet", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Stable: oldRevision}, promotion.WorkloadRolling, false, "Rollout web has not begun with app:v2@012345678901 yet (it is Healthy: words)"},
		{"another is on trial", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutProgressing, Stable: oldRevision, Canary: oldRevision}, promotion.WorkloadRolling, false, "Rollout web has not begun with app:v2@012345678901 yet (it is Progressing: words)"},
		{"at rest after it failed before", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Failure: "errors", TrialStarted: &before, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadRolling, false, "Rollout web has not begun with app:v2@012345678901 yet (it is Healthy: words)"},
		{"on trial", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutProgressing, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadRolling, false, "Rollout web is Progressing: words"},
		{"paused", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutPaused, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadRolling, true, ""},
		{"frozen", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutProgressing, ClockStopped: "Frozen", Canary: newRevision}, promotion.WorkloadRolling, true, ""},
		{"failed", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRollingBack, Failure: "errors", Stable: oldRevision, Canary: newRevision}, promotion.WorkloadFailed, false, "Rollout web rolled back: errors"},
		{"withdrawn", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRolledBack, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadRolling, false, ""},
		{"an earlier canary failed", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRolledBack, Failure: "errors", Stable: oldRevision, Canary: oldRevision}, promotion.WorkloadRolling, false, "Rollout web has not begun with app:v2@012345678901 yet (it is RolledBack: words)"},
		{"returned from its bake", previous, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRollingBack, Failure: "errors", TrialStarted: &now, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadFailed, false, ""},
		{"returned, and at rest again", previous, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Failure: "errors", TrialStarted: &now, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadFailed, false, ""},
		{"failed for a Promotion before", previous, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Failure: "errors", TrialStarted: &before, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadStale, false, ""},
		{"came to no verdict", held, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRolledBack, Unfinished: "its deadline", ClockStopped: "Waiting", TrialStarted: &now, Stable: oldRevision, Canary: newRevision}, promotion.WorkloadRolling, true, ""},
		{"baking", settled, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutBaking, Stable: newRevision}, promotion.WorkloadBaking, false, ""},
		{"healthy", settled, v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutHealthy, Stable: newRevision}, promotion.WorkloadReady, false, "Rollout web is Healthy: words"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.status.Message = "words"
			got := assessRollout(wanted, c.is, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: c.status}, created)
			if got.State != c.state || got.Stopped != c.stopped || !strings.HasPrefix(got.Message, c.says) {
				t.Errorf("%s, stopped %t: %q; want %s, %t: %q", got.State, got.Stopped, got.Message, c.state, c.stopped, c.says)
			}
		})
	}
}

func TestMessagesAreBrief(t *testing.T) {
	stale := assess(wanted, deployment("registry.test/app:v1", func(*appsv1.Deployment) {}), nil)
	if stale.Message != "does not name app:v2@012345678901 yet" {
		t.Errorf("message %q", stale.Message)
	}
	talkative := pod(wanted.Images[0], "ImagePullBackOff")
	talkative.Status.ContainerStatuses[0].State.Waiting.Message = strings.Repeat("failed to pull\n", 100)
	if got := failedPod([]corev1.Pod{talkative}); len(got) > 2*maxDetail || strings.Contains(got, "\n") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestStatefulSetAndDaemonSet(t *testing.T) {
	two := int32(2)
	s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: &two}}
	s.Status = appsv1.StatefulSetStatus{UpdatedReplicas: 2, ReadyReplicas: 2, CurrentRevision: "a", UpdateRevision: "b"}
	if ofStatefulSet(s).settled {
		t.Error("a StatefulSet between two revisions is settled")
	}
	s.Status.CurrentRevision = "b"
	if !ofStatefulSet(s).settled {
		t.Error("a StatefulSet of one revision with all pods ready is not settled")
	}
	d := &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, UpdatedNumberScheduled: 1, NumberAvailable: 2}}
	if ofDaemonSet(d).settled {
		t.Error("a DaemonSet with an old pod is settled")
	}
	d.Status.UpdatedNumberScheduled = 2
	if !ofDaemonSet(d).settled {
		t.Error("a DaemonSet with all pods updated is not settled")
	}
}
