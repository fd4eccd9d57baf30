package rollout

import (
	"testing"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestCanaryOfPatientWorkload states that the API server takes the canary of a
// workload whose pods count as available late: minReadySeconds has to be less
// than progressDeadlineSeconds, which is 600 where it is left out.
func TestCanaryOfPatientWorkload(t *testing.T) {
	workload := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{}, MinReadySeconds: 900, ProgressDeadlineSeconds: new(int32(1200)),
	}}
	spec := canaryOf(&v1alpha1.Rollout{}, workload, "hash", 1).Spec
	if spec.ProgressDeadlineSeconds == nil || *spec.ProgressDeadlineSeconds <= spec.MinReadySeconds {
		t.Errorf("minReadySeconds is %d, and progressDeadlineSeconds %v", spec.MinReadySeconds, spec.ProgressDeadlineSeconds)
	}
}
