//go:build integration

package rollout_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// record reads the AnalysisRun of a name; nil where there is none.
func (e *env) record(name string) *v1alpha1.AnalysisRun {
	e.t.Helper()
	var run v1alpha1.AnalysisRun
	err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: name}, &run)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return &run
}

// ancient makes the record of a trial of some Rollout that ended an hour ago.
func (e *env) ancient(namespace, rollout string, trial int64) *v1alpha1.AnalysisRun {
	e.t.Helper()
	run := &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", rollout, trial), Labels: map[string]string{v1alpha1.LabelRollout: rollout}},
		Spec:       v1alpha1.AnalysisRunSpec{Rollout: rollout, Trial: trial, Alpha: "0.01"},
	}
	if err := e.client.Create(e.t.Context(), run); err != nil {
		e.t.Fatal(err)
	}
	run.Status = v1alpha1.AnalysisRunStatus{Verdict: "Pass", Completed: &metav1.Time{Time: time.Now().Add(-time.Hour)}}
	if err := e.client.Status().Update(e.t.Context(), run); err != nil {
		e.t.Fatal(err)
	}
	return run
}

// expired waits until a record is gone, which must not be before its age.
func (e *env) expired(name string, age time.Duration) {
	e.t.Helper()
	var ended *metav1.Time
	e.until("the record "+name+" goes", func() (bool, string) {
		run := e.record(name)
		if run != nil {
			ended = run.Status.Completed
		}
		return run == nil, fmt.Sprintf("it ended at %s", ended)
	})
	if ended == nil || time.Since(ended.Time) < age {
		e.t.Errorf("the record %s, of a trial that ended at %s, is gone before it is %s old", name, ended, age)
	}
}

// TestIntegrationHistoryAge states that records go when they are old enough, that
// of the trial under way never, and none of another Rollout, whatever its name.
func TestIntegrationHistoryAge(t *testing.T) {
	const age = 8 * time.Second
	e := setup(t)
	elsewhere := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rollout-"}}
	if err := e.client.Create(t.Context(), elsewhere); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.client.Delete(context.Background(), elsewhere); err != nil {
			t.Error(err)
		}
	})
	others := []*v1alpha1.AnalysisRun{e.ancient(e.namespace, "app-1", 1), e.ancient(e.namespace, "ap", 1), e.ancient(elsewhere.Name, "app", 1)}
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Steps = []v1alpha1.Step{{Weight: 50, Until: "Approval"}}
		spec.Analysis.HistoryAge = metav1.Duration{Duration: age}
	})

	e.trial("2")
	e.until("the trial under way is older than the age", func() (bool, string) {
		run := e.record("app-1")
		if run == nil || run.Status.Completed != nil {
			t.Fatalf("the record of the trial under way is %v", run)
		}
		old := time.Since(run.CreationTimestamp.Time)
		return old > 2*age, fmt.Sprintf("%s old", old)
	})
	e.ask("promote")
	e.phase(v1alpha1.RolloutHealthy)
	e.expired("app-1", age)

	// A rejected revision is at rest too; a controller that begins anew knows the ages.
	e.revise(corev1.EnvVar{Name: "MODE", Value: "crash"})
	e.phase(v1alpha1.RolloutRolledBack)
	e.stop()
	e.start()
	e.expired("app-2", age)
	for _, other := range others {
		if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(other), &v1alpha1.AnalysisRun{}); err != nil {
			t.Errorf("the record of another Rollout: %v", err)
		}
	}
}
