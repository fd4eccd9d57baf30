//go:build integration

package rollout_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// message is what the condition Ready says.
func (e *env) message() string {
	c := meta.FindStatusCondition(e.rollout().Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return ""
	}
	return c.Message
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
