//go:build integration

package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// stalled says whether the Rollout is stalled for a reason.
func (e *env) stalled(reason string) bool {
	c := meta.FindStatusCondition(e.rollout().Status.Conditions, v1alpha1.ConditionStalled)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reason
}

// told waits for an event on the Rollout, and gives what it says.
func (e *env) told(reason string) string {
	e.t.Helper()
	note := ""
	e.until("the event "+reason, func() (bool, string) {
		var list eventsv1.EventList
		if err := e.client.List(e.t.Context(), &list, client.InNamespace(e.namespace)); err != nil {
			e.t.Fatal(err)
		}
		var reasons []string
		for _, event := range list.Items {
			if event.Reason == reason {
				note = event.Note
				return true, ""
			}
			reasons = append(reasons, event.Reason)
		}
		return false, strings.Join(reasons, ", ")
	})
	return note
}

// TestIntegrationNoRoomHolds states that a canary that no node takes is held
// beyond its readyDeadline, and goes on by itself once there is room.
func TestIntegrationNoRoomHolds(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	e.start()
	// Long enough for a pod to start where processors are few.
	const deadline = 30 * time.Second
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.ReadyDeadline = metav1.Duration{Duration: deadline} })
	room := corev1.ResourceName("serin.dev/" + e.namespace)
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		one := corev1.ResourceList{room: resource.MustParse("1")}
		object.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: one, Limits: one}
	})
	e.until("the lack of room is said", func() (bool, string) {
		ro := e.rollout()
		return e.stalled("NoRoom") && strings.Contains(ro.Status.Message, "Insufficient "+string(room)), ro.Status.Message
	})
	e.told("TrialBlocked")
	e.until("twice its readyDeadline is over", func() (bool, string) {
		ro := e.rollout()
		if ro.Status.Failure != "" || ro.Status.Phase != v1alpha1.RolloutPaused {
			t.Fatalf("it is %s: %s", ro.Status.Phase, ro.Status.Message)
		}
		return time.Since(ro.Status.PhaseSince.Time) > 2*deadline+time.Second, ""
	})
	e.makeRoom(room)
	e.told("TrialGoesOn")
	e.until("it is rolled out", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Verdict == "Pass", string(ro.Status.Phase) + ": " + ro.Status.Message
	})
}

// makeRoom lets every node offer some of an extended resource until the test's
// end.
func (e *env) makeRoom(room corev1.ResourceName) {
	e.t.Helper()
	var nodes corev1.NodeList
	if err := e.client.List(e.t.Context(), &nodes); err != nil {
		e.t.Fatal(err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		patch := func(ctx context.Context, value string) error {
			text := fmt.Sprintf(`{"status":{"capacity":{%q:%s},"allocatable":{%q:%s}}}`, room, value, room, value)
			return e.client.Status().Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)))
		}
		if err := patch(e.t.Context(), `"8"`); err != nil {
			e.t.Fatal(err)
		}
		e.t.Cleanup(func() {
			if err := client.IgnoreNotFound(patch(context.Background(), "null")); err != nil {
				e.t.Error(err)
			}
		})
	}
}

// TestIntegrationReplacedAgainStaysHeld states that a manifest that replaces the
// whole Deployment again, with the revision that was rejected, does not let it
// loose, while a person may.
func TestIntegrationReplacedAgainStaysHeld(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	manifest := e.workload()
	e.start()
	e.adopt(nil)
	stable := e.pods(false)
	replace := func(keep map[string]string) {
		e.update(func() client.Object { return e.workload() }, func(object client.Object) {
			d := object.(*appsv1.Deployment)
			d.Labels, d.Annotations, d.Spec = keep, nil, *manifest.Spec.DeepCopy()
			d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "MODE", Value: "crash"}}
		})
	}
	replace(nil)
	e.phase(v1alpha1.RolloutRolledBack)
	for name, labels := range map[string]map[string]string{"without labels": nil, "with the label of rest": {v1alpha1.LabelHold: "true"}} {
		replace(labels)
		d := e.workload()
		if !d.Spec.Paused || d.Annotations[v1alpha1.AnnotationHeld] == "" || d.Labels[v1alpha1.LabelHold] != "true" {
			t.Errorf("%s: replaced again, paused %t, labels %v, annotations %v", name, d.Spec.Paused, d.Labels, d.Annotations)
		}
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		object.(*appsv1.Deployment).Spec.Paused = false
	})
	if d := e.workload(); d.Spec.Paused {
		t.Error("a person cannot resume it by hand")
	}
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "1"})
	e.phase(v1alpha1.RolloutHealthy)
	e.atRest()
	e.until("the label is as it was", func() (bool, string) {
		d := e.workload()
		return d.Labels[v1alpha1.LabelHold] == "true", fmt.Sprint(d.Labels)
	})
}

// TestIntegrationReturnsWithoutHistory states that a bake returns a workload that
// keeps no ReplicaSet.
func TestIntegrationReturnsWithoutHistory(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	none := int32(0)
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		object.(*appsv1.Deployment).Spec.RevisionHistoryLimit = &none
	})
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Bake = metav1.Duration{Duration: time.Hour} })
	e.until("it is said", func() (bool, string) {
		ro := e.rollout()
		return strings.Contains(ro.Status.Message, "revisionHistoryLimit: 0"), ro.Status.Message
	})
	before := e.rollout().Status.Stable.TemplateHash
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	if ro := e.phase(v1alpha1.RolloutBaking); ro.Status.StableTemplate == nil {
		t.Error("no template is kept to return to")
	}
	e.told("StableTemplateKept")
	e.until("the ReplicaSet before is gone", func() (bool, string) {
		var sets appsv1.ReplicaSetList
		if err := e.client.List(t.Context(), &sets, client.InNamespace(e.namespace)); err != nil {
			t.Fatal(err)
		}
		return len(sets.Items) == 1, fmt.Sprint(len(sets.Items))
	})
	e.ask("abort")
	e.until("it is back", func() (bool, string) {
		ro, d := e.rollout(), e.workload()
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable.TemplateHash == before &&
			d.Spec.Template.Spec.Containers[0].Env[0].Value == "1" && d.Status.AvailableReplicas == 2, ro.Status.Message
	})
	if ro := e.rollout(); ro.Status.StableTemplate != nil {
		t.Error("the template is kept at rest")
	}
	e.atRest()
}

// TestIntegrationFloorResetIsCounted states that another writer of an
// autoscaler's floor is told of.
func TestIntegrationFloorResetIsCounted(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	scaler := e.autoscale()
	floor := func() int32 { return *scaler().Spec.MinReplicas }
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	e.until("the floor is held", func() (bool, string) { return floor() == 2, fmt.Sprint(floor()) })
	if ro := e.rollout(); ro.Status.FloorResets != 0 {
		t.Errorf("%d resets before there was one", ro.Status.FloorResets)
	}
	e.update(func() client.Object { return scaler() }, func(object client.Object) {
		least := int32(1)
		object.(*autoscalingv2.HorizontalPodAutoscaler).Spec.MinReplicas = &least
	})
	e.until("it is held again, and counted", func() (bool, string) {
		ro := e.rollout()
		return floor() == 2 && ro.Status.FloorResets > 0, fmt.Sprintf("floor %d, %d resets", floor(), ro.Status.FloorResets)
	})
	e.told("FloorReset")
	e.ask("abort")
	e.until("the autoscaler is as it was", func() (bool, string) {
		left := scaler().Annotations
		return floor() == 1 && len(left) == 0, fmt.Sprintf("floor %d, annotations %v", floor(), left)
	})
}

// TestIntegrationDeadNodeDoesNotHoldEnd states that a canary pod on a node that
// does not answer keeps neither the end of its trial nor the next one.
func TestIntegrationDeadNodeDoesNotHoldEnd(t *testing.T) {
	e := setup(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dead-" + e.namespace}, Spec: corev1.NodeSpec{Unschedulable: true}}
	if err := e.client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Without its node the pod is removed, and with it the namespace.
		if err := client.IgnoreNotFound(e.client.Delete(context.Background(), node)); err != nil {
			t.Error(err)
		}
	})
	e.deploy(1)
	e.start()
	e.adopt(nil)
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		spec, soon := &object.(*appsv1.Deployment).Spec.Template.Spec, int64(1)
		spec.NodeName, spec.TerminationGracePeriodSeconds = node.Name, &soon
	})
	e.until("the canary's pod is on the dead node", func() (bool, string) { return len(e.pods(true)) == 1, e.rollout().Status.Message })
	e.ask("abort")
	e.phase(v1alpha1.RolloutRolledBack)
	e.told("CanaryAbandoned")
	var list corev1.PodList
	if err := e.client.List(t.Context(), &list, client.InNamespace(e.namespace), client.MatchingLabels{v1alpha1.LabelArm: "canary"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].DeletionTimestamp == nil {
		t.Errorf("%d canary pods are left, want the one on the dead node, not forced", len(list.Items))
	}
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		spec := &object.(*appsv1.Deployment).Spec.Template.Spec
		spec.NodeName, spec.TerminationGracePeriodSeconds = "", nil
		spec.Containers[0].Env = []corev1.EnvVar{{Name: "REVISION", Value: "2"}}
	})
	e.until("the next revision is stable", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Trial == 2, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
}
