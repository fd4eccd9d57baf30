//go:build integration

package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// adopt makes a Rollout of short steps and waits until it has taken the
// workload into care.
func (e *env) adopt(change func(*v1alpha1.RolloutSpec)) {
	e.t.Helper()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"},
			Traffic:     v1alpha1.Traffic{Service: "app"},
			Steps: []v1alpha1.Step{
				{Weight: 20, Duration: &metav1.Duration{Duration: 2 * time.Second}},
				{Weight: 50, Duration: &metav1.Duration{Duration: 2 * time.Second}},
			},
			Drain: metav1.Duration{Duration: time.Second}, Analysis: v1alpha1.Analysis{Interval: metav1.Duration{Duration: time.Second}},
		},
	}
	if change != nil {
		change(&ro.Spec)
	}
	if err := e.client.Create(e.t.Context(), ro); err != nil {
		e.t.Fatal(err)
	}
	e.until("the workload is in care", func() (bool, string) {
		ro := e.rollout()
		held := e.workload().Labels[v1alpha1.LabelHold] != ""
		return held && ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable != nil, ro.Status.Message
	})
}

// atRest states that nothing of Serin is left but one label.
func (e *env) atRest() {
	e.t.Helper()
	e.until("nothing is left of the trial", func() (bool, string) {
		d := e.workload()
		canary := e.pods(true)
		err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app-canary"}, &appsv1.Deployment{})
		return apierrors.IsNotFound(err) && len(canary) == 0 && !d.Spec.Paused && d.Annotations[v1alpha1.AnnotationHeld] == "",
			fmt.Sprintf("canary pods %v, paused %t, annotations %v", canary, d.Spec.Paused, d.Annotations)
	})
}

// trial gives the workload a new revision and waits until its canary has traffic.
func (e *env) trial(revision string) {
	e.t.Helper()
	e.revise(corev1.EnvVar{Name: "REVISION", Value: revision})
	e.serving()
}

// serving waits until the canary has the traffic of a step.
func (e *env) serving() {
	e.t.Helper()
	e.until("the canary has traffic", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.StepStarted != nil, ro.Status.Message
	})
}

// passed waits until another revision than before is stable.
func (e *env) passed(before string) {
	e.t.Helper()
	e.until("the new revision is stable", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable.TemplateHash != before, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
}

// autoscale gives the workload an autoscaler with a floor of 1, and a way to read
// it again.
func (e *env) autoscale() func() *autoscalingv2.HorizontalPodAutoscaler {
	e.t.Helper()
	least := int32(1)
	scaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "app"},
			MinReplicas:    &least, MaxReplicas: 5,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{
					Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &least,
				}},
			}},
		},
	}
	if err := e.client.Create(e.t.Context(), scaler); err != nil {
		e.t.Fatal(err)
	}
	return func() *autoscalingv2.HorizontalPodAutoscaler {
		e.t.Helper()
		var now autoscalingv2.HorizontalPodAutoscaler
		if err := e.client.Get(e.t.Context(), client.ObjectKeyFromObject(scaler), &now); err != nil {
			e.t.Fatal(err)
		}
		return &now
	}
}

func (e *env) ask(verb string) {
	e.t.Helper()
	e.update(func() client.Object { return e.rollout() }, func(object client.Object) {
		annotations := map[string]string{v1alpha1.AnnotationRequest: verb + "@" + e.namespace, v1alpha1.AnnotationBy: "ann", v1alpha1.AnnotationReason: "a test"}
		object.SetAnnotations(annotations)
	})
}

func TestIntegrationAdoptionRestartsNothing(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	before := e.pods(false)
	e.start()
	e.adopt(nil)
	if diff := cmp.Diff(before, e.pods(false)); diff != "" {
		t.Errorf("pods changed (-before +after):\n%s", diff)
	}
	if d := e.workload(); d.Generation != 1 {
		t.Errorf("adoption changed the workload's spec: generation %d", d.Generation)
	}
}

func TestIntegrationGoodRevisionIsRolledOut(t *testing.T) {
	e := setup(t)
	e.deploy(4)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Bake = metav1.Duration{Duration: 2 * time.Second} })
	before := e.rollout().Status.Stable.TemplateHash
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	reached := map[int32]bool{}
	e.until("the new revision is stable", func() (bool, string) {
		ro := e.rollout()
		reached[ro.Status.ReachedWeight] = true
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable.TemplateHash != before, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
	if !reached[20] || !reached[50] {
		t.Errorf("the weights reached were %v, want 20 and 50 among them", reached)
	}
	e.atRest()
	if d := e.workload(); d.Status.UpdatedReplicas != 4 || d.Status.AvailableReplicas != 4 {
		t.Errorf("the workload is at %+v", d.Status)
	}
	var run v1alpha1.AnalysisRun
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app-1"}, &run); err != nil {
		t.Fatal(err)
	}
	if run.Status.Verdict != "Pass" || run.Status.State == "" {
		t.Errorf("the record says %q: %s", run.Status.Verdict, run.Status.Message)
	}
}

func TestIntegrationCrashingRevisionIsRolledBack(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	e.start()
	e.adopt(nil)
	stable := e.pods(false)
	e.revise(corev1.EnvVar{Name: "MODE", Value: "crash"})
	ro := e.phase(v1alpha1.RolloutRolledBack)
	if !strings.Contains(ro.Status.Failure, "crashed") || ro.Status.Verdict != "Fail" {
		t.Errorf("it failed because %q, verdict %s", ro.Status.Failure, ro.Status.Verdict)
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
	if d := e.workload(); !d.Spec.Paused {
		t.Error("the bad revision is not held")
	}
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "1"})
	e.phase(v1alpha1.RolloutHealthy)
	e.atRest()
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("the return restarted stable's pods (-before +after):\n%s", diff)
	}
	e.revise(corev1.EnvVar{Name: "MODE", Value: "crash"})
	if ro := e.phase(v1alpha1.RolloutRolledBack); ro.Status.Trial != 1 {
		t.Errorf("a revision that failed was tried again: trial %d", ro.Status.Trial)
	}
}

func TestIntegrationAbort(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	stable := e.pods(false)
	e.trial("2")
	e.ask("abort")
	if ro := e.phase(v1alpha1.RolloutRolledBack); ro.Status.Failure != "aborted by ann: a test" {
		t.Errorf("it failed because %q", ro.Status.Failure)
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
}

// TestIntegrationControllerDiesDuringTrial replaces the controller, time and again, while a
// trial is under way.
func TestIntegrationControllerDiesDuringTrial(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	e.start()
	e.adopt(nil)
	before := e.rollout().Status.Stable.TemplateHash
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	for _, phase := range []v1alpha1.RolloutPhase{v1alpha1.RolloutStarting, v1alpha1.RolloutProgressing, v1alpha1.RolloutFinalising} {
		e.until("phase "+string(phase)+", or what comes after", func() (bool, string) {
			ro := e.rollout()
			return ro.Status.Phase == phase || ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Trial == 1, string(ro.Status.Phase)
		})
		e.stop()
		e.start()
	}
	e.passed(before)
	e.atRest()
}

func TestIntegrationDeletionDuringTrialGivesAllBack(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.trial("2")
	if err := e.client.Delete(t.Context(), e.rollout()); err != nil {
		t.Fatal(err)
	}
	e.atRest()
	e.until("the workload has rolled by itself", func() (bool, string) {
		d := e.workload()
		return d.Labels[v1alpha1.LabelHold] == "" && d.Status.UpdatedReplicas == 2 && d.Status.AvailableReplicas == 2, fmt.Sprintf("%+v", d.Status)
	})
}

// TestIntegrationAutoscalerKeepsStable states that the floor of an autoscaler is held while
// a canary serves, and given back.
func TestIntegrationAutoscalerKeepsStable(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	scaler := e.autoscale()
	floor := func() int32 { return *scaler().Spec.MinReplicas }
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.trial("2")
	if got := floor(); got != 2 {
		t.Errorf("while the canary serves, minReplicas is %d, want 2", got)
	}
	e.ask("promote")
	e.until("the floor is given back", func() (bool, string) { return floor() == 1, fmt.Sprint(floor()) })
	e.phase(v1alpha1.RolloutHealthy)
	e.atRest()
}

// TestIntegrationQuotaIsSaid states that a canary whose pods a quota refuses
// says so, and is not held against the revision.
func TestIntegrationQuotaIsSaid(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "tight"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}
	if err := e.client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	e.until("the quota counts", func() (bool, string) {
		var now corev1.ResourceQuota
		if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(quota), &now); err != nil {
			t.Fatal(err)
		}
		used := now.Status.Used[corev1.ResourcePods]
		return used.Value() == 1, used.String()
	})
	e.start()
	e.adopt(nil)
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	e.until("the quota is named", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.Phase == v1alpha1.RolloutPaused && strings.Contains(ro.Status.Message, "exceeded quota") && e.stalled("PodsRefused"), ro.Status.Message
	})
}

// TestIntegrationReplacedWorkloadIsHeld states that a new revision is tried also
// where its manifest replaces the whole object, and with it Serin's label.
func TestIntegrationReplacedWorkloadIsHeld(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		object.SetLabels(nil)
		object.SetAnnotations(nil)
		object.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "REVISION", Value: "2"}}
	})
	e.until("its canary starts", func() (bool, string) {
		ro := e.rollout()
		return ro.Status.Trial == 1 && len(e.pods(true)) > 0, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
}
