//go:build integration

package rollout_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// message is what the condition Ready says.
func (e *env) message() string {
	c := meta.FindStatusCondition(e.rollout().Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return ""
	}
	return c.Message
}

// TestIntegrationForeignCanaryKeepsNoRollout states that a Deployment of the
// canary's name that is not Serin's is said to be in the way, and does not keep
// the Rollout from being deleted.
func TestIntegrationForeignCanaryKeepsNoRollout(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	foreign := e.workload()
	foreign.ObjectMeta = metav1.ObjectMeta{Namespace: e.namespace, Name: "app-canary"}
	foreign.Spec.Replicas = new(int32(0))
	if err := e.client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	e.start()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"}},
	}
	if err := e.client.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	e.until("it is said to be in the way", func() (bool, string) {
		return strings.Contains(e.message(), "app-canary is in the way"), e.message()
	})
	if err := e.client.Delete(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	e.until("the Rollout is gone", func() (bool, string) {
		err := e.client.Get(t.Context(), client.ObjectKeyFromObject(ro), ro)
		return apierrors.IsNotFound(err), e.describe(ro)
	})
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(foreign), &appsv1.Deployment{}); err != nil {
		t.Errorf("the Deployment that is not Serin's: %v", err)
	}
}

func (e *env) describe(ro *v1alpha1.Rollout) string {
	return string(ro.Status.Phase) + ": " + ro.Status.Message
}

// TestIntegrationForeignServicesAreSaid states that Services of Serin's names
// that are not Serin's are said to be in the way before there is a trial.
func TestIntegrationForeignServicesAreSaid(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	for _, name := range []string{"app-stable", "app-canary"} {
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: name},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "other"}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		if err := e.client.Create(t.Context(), service); err != nil {
			t.Fatal(err)
		}
	}
	e.start()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"},
			Traffic:     v1alpha1.Traffic{Service: "app", RouteRef: &v1alpha1.RouteReference{Kind: "HTTPRoute", Name: "app"}},
		},
	}
	if err := e.client.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	e.until("they are said to be in the way", func() (bool, string) {
		said := e.message()
		return strings.Contains(said, "app-stable: it is not Serin's: rename or delete it") && strings.Contains(said, "app-canary"), said
	})
}

// TestIntegrationRecordIsClosedAfterCrash states that the record of a trial is
// closed also where Serin died right after it wrote that the trial is over.
func TestIntegrationRecordIsClosedAfterCrash(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	e.start()
	e.adopt(nil)
	e.revise(corev1.EnvVar{Name: "MODE", Value: "crash"})
	e.phase(v1alpha1.RolloutRolledBack)
	run := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: rollout.RunName("app", 1)}}
	ended := func() (bool, string) {
		if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(run), run); err != nil {
			t.Fatal(err)
		}
		return run.Status.Completed != nil, run.Status.Message
	}
	e.until("the record is closed", ended)
	e.stop()
	run.Status.Completed = nil
	if err := e.client.Status().Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	e.start()
	e.until("the record is closed by the next", ended)
}

// TestIntegrationPatientWorkload states that a workload whose pods count as
// available late gets its canary.
func TestIntegrationPatientWorkload(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		d := object.(*appsv1.Deployment)
		d.Spec.MinReadySeconds, d.Spec.ProgressDeadlineSeconds = 900, new(int32(1200))
		d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "REVISION", Value: "2"}}
	})
	e.until("its canary starts", func() (bool, string) { return len(e.pods(true)) > 0, e.message() })
}
