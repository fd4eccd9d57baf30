//go:build integration

package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// rival makes another Rollout of the same workload and waits until it is
// refused.
func (e *env) rival(name string) *v1alpha1.Rollout {
	e.t.Helper()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: name},
		Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"}},
	}
	// A Serin that runs in the cluster refuses it at admission already, as long as
	// it is there.
	e.until("the younger Rollout is made", func() (bool, string) {
		err := e.client.Create(e.t.Context(), ro.DeepCopy())
		return err == nil || apierrors.IsAlreadyExists(err), fmt.Sprint(err)
	})
	e.until("the younger Rollout is refused", func() (bool, string) {
		if err := e.client.Get(e.t.Context(), client.ObjectKeyFromObject(ro), ro); err != nil {
			e.t.Fatal(err)
		}
		c := meta.FindStatusCondition(ro.Status.Conditions, v1alpha1.ConditionStalled)
		return c != nil && c.Reason == "WorkloadTaken" && strings.Contains(c.Message, "Rollout app "), ro.Status.Message
	})
	return ro
}

// TestIntegrationYoungerRolloutStandsBehind states that of two Rollouts of one
// workload the older goes on untouched, also when the younger goes, and that the
// younger takes over once the older is gone.
func TestIntegrationYoungerRolloutStandsBehind(t *testing.T) {
	e := setup(t)
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour} })
	e.trial("2")
	canary := e.pods(true)
	younger := e.rival("another")
	e.told("WorkloadTaken")
	if err := e.client.Delete(t.Context(), younger); err != nil {
		t.Fatal(err)
	}
	e.until("the younger is gone", func() (bool, string) {
		return apierrors.IsNotFound(e.client.Get(t.Context(), client.ObjectKeyFromObject(younger), younger)), ""
	})
	if d := e.workload(); d.Labels[v1alpha1.LabelHold] == "" || !d.Spec.Paused {
		t.Errorf("the end of the younger took the marks off the workload: %v", d.Labels)
	}
	if ro := e.rollout(); ro.Status.Phase != v1alpha1.RolloutProgressing || ro.Status.Trial != 1 || len(canary) != 1 || strings.Join(e.pods(true), "") != canary[0] {
		t.Errorf("the older is %s: %s; its canary is %v, was %v", ro.Status.Phase, ro.Status.Message, e.pods(true), canary)
	}
	heir := e.rival("heir")
	if err := e.client.Delete(t.Context(), e.rollout()); err != nil {
		t.Fatal(err)
	}
	e.until("the younger takes over", func() (bool, string) {
		if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(heir), heir); err != nil {
			t.Fatal(err)
		}
		return heir.Status.Phase == v1alpha1.RolloutHealthy && heir.Status.Stable != nil && e.workload().Labels[v1alpha1.LabelHold] == "true", heir.Status.Message
	})
}
