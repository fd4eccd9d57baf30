package rollout

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/rollout"
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

// TestFloorOfAnotherWriter states that the autoscaler ends with the floor that a
// person, or Git, has set last, and not with one from before.
func TestFloorOfAnotherWriter(t *testing.T) {
	floor := func(scaler *autoscalingv2.HorizontalPodAutoscaler, n int32) { scaler.Spec.MinReplicas = &n }
	for name, test := range map[string]struct {
		then func(*autoscalingv2.HorizontalPodAutoscaler)
		want int32
	}{
		"nobody":            {func(*autoscalingv2.HorizontalPodAutoscaler) {}, 2},
		"raised":            {func(s *autoscalingv2.HorizontalPodAutoscaler) { floor(s, 8) }, 8},
		"lowered":           {func(s *autoscalingv2.HorizontalPodAutoscaler) { floor(s, 4) }, 4},
		"lowered and held":  {func(s *autoscalingv2.HorizontalPodAutoscaler) { floor(s, 4); raise(s, 6) }, 4},
		"raised and beyond": {func(s *autoscalingv2.HorizontalPodAutoscaler) { floor(s, 8); raise(s, 9) }, 8},
		"held again":        {func(s *autoscalingv2.HorizontalPodAutoscaler) { raise(s, 9) }, 2},
	} {
		scaler := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: new(int32(2)), MaxReplicas: 10}}
		raise(scaler, 6)
		test.then(scaler)
		if err := giveBack(scaler); err != nil {
			t.Fatal(err)
		}
		if got := *scaler.Spec.MinReplicas; got != test.want || len(scaler.Annotations) > 0 {
			t.Errorf("%s: minReplicas is %d, want %d; annotations %v", name, got, test.want, scaler.Annotations)
		}
	}
}

// TestPatienceIsBounded states that what could not be done, such as to take the
// traffic from a canary that failed, is tried again soon, however long it could
// not be done.
func TestPatienceIsBounded(t *testing.T) {
	options := Options{}.controller()
	if options.MaxConcurrentReconciles != 1 {
		t.Errorf("%d reconciles at a time", options.MaxConcurrentReconciles)
	}
	for range 100 {
		if wait := options.RateLimiter.When(reconcile.Request{}); wait > 10*time.Second {
			t.Fatalf("after an error it waits %s", wait)
		}
	}
}

// TestRecordIsClosedOnce states that a record is closed after the end of its
// trial, by whichever process comes, and asked for once by each.
func TestRecordIsClosedOnce(t *testing.T) {
	shop := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "shop", UID: "first"}}
	over := rollout.Status{Phase: rollout.RolledBack, Trial: 2}
	var c closed
	for _, s := range []rollout.Status{
		{Phase: rollout.Healthy}, {Phase: rollout.Progressing, Trial: 2}, {Phase: rollout.Baking, Trial: 2}, {Phase: rollout.RollingBack, Trial: 2},
	} {
		if c.due(shop, s) {
			t.Errorf("%s of trial %d: a record is to be closed", s.Phase, s.Trial)
		}
	}
	if !c.due(shop, over) {
		t.Error("the record of a trial that is over is not closed")
	}
	c.note(shop, 2)
	if c.due(shop, over) {
		t.Error("a record that is closed is closed again")
	}
	over.Trial = 3
	if !c.due(shop, over) {
		t.Error("that of the next trial is not")
	}
	over.Trial = 2
	again := shop.DeepCopy()
	again.UID = "second"
	if !c.due(again, over) {
		t.Error("one that was made again inherits what is known of the first")
	}
	c.clear(client.ObjectKeyFromObject(shop))
	if !c.due(shop, over) {
		t.Error("what is known of a Rollout outlives it")
	}
}
