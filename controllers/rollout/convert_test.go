package rollout

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/rollout"
	"github.com/serin-gitops/serin/traffic"
	"github.com/serin-gitops/serin/traffic/replicas"
)

// TestStatusSurvivesTheAPI states that the machine's status comes back from the
// object as it was written.
func TestStatusSurvivesTheAPI(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 678_000, time.UTC)
	full := rollout.Status{
		Phase: rollout.Progressing, Message: "m", Stable: rollout.Revision{TemplateHash: "a", PodTemplateHash: "pa", Images: []string{"i:1"}},
		Canary: rollout.Revision{TemplateHash: "b", Images: []string{"i:2"}}, Trial: 3, Step: 1, Weight: 20, Failure: "f", Verdict: rollout.Pass,
		Evidence: []string{"e"}, PauseAsked: true, Approved: true, Resets: 2, HandledRequest: "r", TrialStarted: at.Truncate(time.Second), PhaseSince: at,
		StepStarted: at, DrainStarted: at, Clock: time.Second, TrialClock: time.Minute, ClockAt: at, ClockStopped: "Paused",
	}
	for name, want := range map[string]rollout.Status{"empty": {}, "full": full} {
		t.Run(name, func(t *testing.T) {
			var object v1alpha1.RolloutStatus
			writeStatus(&object, want, 2)
			if diff := cmp.Diff(want, statusOf(object)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecOf(t *testing.T) {
	ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{
		WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"}, Bake: metav1.Duration{Duration: time.Minute},
		Analysis: v1alpha1.Analysis{InconclusiveLimit: metav1.Duration{Duration: 20 * time.Minute}},
		Steps: []v1alpha1.Step{
			{Weight: 20, Duration: &metav1.Duration{Duration: time.Second}},
			{Weight: 50, Until: "Evidence", OnTimeout: "Advance", Duration: &metav1.Duration{Duration: time.Hour}, MinDuration: &metav1.Duration{Duration: time.Minute}},
			{Weight: 50, Until: "Approval"},
		},
	}}
	want := rollout.Spec{
		Workload: "Deployment/app", Bake: time.Minute, Drain: 10 * time.Second, Deadline: 2 * time.Hour, Interval: 2 * time.Second,
		InconclusiveLimit: 20 * time.Minute,
		Steps: []rollout.Step{
			{Weight: 20, Duration: time.Second, Replicas: 1},
			{Weight: 50, Until: rollout.UntilEvidence, AdvanceOnTimeout: true, Duration: time.Hour, Least: time.Minute, Replicas: 4},
			{Weight: 50, Until: rollout.UntilApproval, Replicas: 4},
		},
	}
	if diff := cmp.Diff(want, specOf(ro, replicas.Router{}, traffic.Target{StableReplicas: 4})); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	ro.Spec.Steps = nil
	weights := []environments.Weight{}
	for _, step := range specOf(ro, replicas.Router{}, traffic.Target{StableReplicas: 4}).Steps {
		weights = append(weights, step.Weight)
	}
	if diff := cmp.Diff([]environments.Weight{20, 50}, weights); diff != "" {
		t.Errorf("the default steps (-want +got):\n%s", diff)
	}
}

func deployment() *appsv1.Deployment {
	n := int32(4)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, MinReadySeconds: 3, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "app"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:2"}}},
			},
		},
	}
}

func TestHashIsThatOfTheReplicaSet(t *testing.T) {
	d := deployment()
	want, err := hashOf(d.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	ofSet := *d.Spec.Template.DeepCopy()
	ofSet.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "6d4cf56db6"
	got, err := hashOf(ofSet)
	if err != nil || got != want {
		t.Errorf("hash %s (%v), want that of the Deployment's template, %s", got, err, want)
	}
	if ofSet.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == "" {
		t.Error("hashing changed the template")
	}
	ofSet.Spec.Containers[0].Image = "app:3"
	if other, err := hashOf(ofSet); err != nil || other == want {
		t.Errorf("another image has the same hash %s (%v)", other, err)
	}
}

func TestCanaryOf(t *testing.T) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "ro", UID: "1"}}
	d := deployment()
	before := d.DeepCopy()
	got := canaryOf(ro, d, "hash", 2)
	if diff := cmp.Diff(before, d); diff != "" {
		t.Errorf("the workload was changed (-before +after):\n%s", diff)
	}
	labels := map[string]string{"app": "app", "serin.dev/arm": "canary", "serin.dev/rollout": "ro"}
	if diff := cmp.Diff(labels, got.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("selector (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(labels, got.Spec.Template.Labels); diff != "" {
		t.Errorf("labels of pods (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.PodReadinessGate{{ConditionType: "serin.dev/traffic"}}, got.Spec.Template.Spec.ReadinessGates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	if !metav1.IsControlledBy(got, ro) || *got.Spec.Replicas != 2 || got.Name != "app-canary" || got.Annotations[v1alpha1.AnnotationTemplate] != "hash" {
		t.Errorf("the canary is %+v", got.ObjectMeta)
	}
}

func TestWrittenKnowsWhatIsBehind(t *testing.T) {
	var w written
	object := func(version string) *v1alpha1.Rollout {
		return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: version}}
	}
	if w.behind(object("5")) {
		t.Error("what was never written is behind")
	}
	w.note(object("10"))
	for version, want := range map[string]bool{"9": true, "100": false} {
		w.note(object("10"))
		if got := w.behind(object(version)); got != want {
			t.Errorf("version %s after 10 was written: behind %t, want %t", version, got, want)
		}
	}
}
