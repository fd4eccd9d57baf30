package analysisrun

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestHistoryAge takes three trials, of which the last goes on, and wants each
// record to go when it is an hour old, but never that of the trial under way.
func TestHistoryAge(t *testing.T) {
	analyst, trial := newTrial(t, "127.0.0.1")
	trial.Canary = nil
	ro := trial.Rollout
	began := trial.Now.Truncate(time.Second)
	for n := range int64(3) {
		ro.Status.Trial = n + 1
		if _, err := analyst.Look(t.Context(), trial); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			break
		}
		if err := analyst.End(t.Context(), ro, n+1, began.Add(time.Duration(n)*10*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if next, err := analyst.Expire(t.Context(), ro, began.Add(100*time.Hour)); err != nil || next != 0 {
		t.Errorf("without an age: %s, %v; want nothing to be done", next, err)
	}
	ro.Spec.Analysis.HistoryAge = metav1.Duration{Duration: time.Hour}
	for _, tc := range []struct {
		at, next time.Duration
		want     []int64
	}{
		{59 * time.Minute, time.Minute, []int64{1, 2, 3}},
		{60 * time.Minute, 10 * time.Minute, []int64{2, 3}},
		{65 * time.Minute, 5 * time.Minute, []int64{2, 3}},
		{100 * time.Hour, 0, []int64{3}},
		{200 * time.Hour, 0, []int64{3}},
	} {
		next, err := analyst.Expire(t.Context(), ro, began.Add(tc.at))
		if err != nil || next != tc.next {
			t.Errorf("after %s: next in %s, %v; want %s", tc.at, next, err, tc.next)
		}
		if diff := cmp.Diff(tc.want, trialsOf(t, analyst)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tc.at, diff)
		}
	}
	// The end of a trial is looked at anew.
	if err := analyst.End(t.Context(), ro, 3, began.Add(200*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if next, err := analyst.Expire(t.Context(), ro, began.Add(200*time.Hour)); err != nil || next != time.Hour {
		t.Errorf("after the last trial: next in %s, %v; want 1h", next, err)
	}
}

// TestHistoryAgeAfterACrash has Serin end between the end of a trial and that of
// its record, and wants the record closed, and gone when it is old enough.
func TestHistoryAgeAfterACrash(t *testing.T) {
	analyst, trial := newTrial(t, "127.0.0.1")
	trial.Canary = nil
	ro, now := trial.Rollout, trial.Now.Truncate(time.Second)
	ro.Spec.Analysis.HistoryAge = metav1.Duration{Duration: time.Hour}
	if _, err := analyst.Look(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		phase v1alpha1.RolloutPhase
		at    time.Duration
		next  time.Duration
		want  []int64
	}{
		{v1alpha1.RolloutPaused, 0, 0, []int64{1}},
		{v1alpha1.RolloutHealthy, time.Minute, time.Hour, []int64{1}},
		{v1alpha1.RolloutHealthy, time.Minute + time.Hour, 0, nil},
	} {
		// Each time it is another process.
		again := &Analyst{Client: analyst.Client, Reader: analyst.Reader}
		ro.Status.Phase = tc.phase
		if next, err := again.Expire(t.Context(), ro, now.Add(tc.at)); err != nil || next != tc.next {
			t.Errorf("%s after %s: next in %s, %v; want %s", tc.phase, tc.at, next, err, tc.next)
		}
		if diff := cmp.Diff(tc.want, trialsOf(t, analyst)); diff != "" {
			t.Errorf("%s after %s (-want +got):\n%s", tc.phase, tc.at, diff)
		}
	}
}

func trialsOf(t *testing.T, analyst *Analyst) []int64 {
	t.Helper()
	var runs v1alpha1.AnalysisRunList
	if err := analyst.Client.List(t.Context(), &runs); err != nil {
		t.Fatal(err)
	}
	var trials []int64
	for _, run := range runs.Items {
		trials = append(trials, run.Spec.Trial)
	}
	slices.Sort(trials)
	return trials
}
