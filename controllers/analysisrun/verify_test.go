package analysisrun

import (
	"errors"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestWrongChecksBeginNoTrial wants no AnalysisRun of checks that cannot be
// right, and one as soon as they are mended: nobody has to delete anything.
func TestWrongChecksBeginNoTrial(t *testing.T) {
	analyst, trial := newTrial(t, "127.0.0.1")
	trial.Canary = nil
	trial.Rollout.Spec.Analysis.Checks = []v1alpha1.Check{{Name: "queue", Threshold: &v1alpha1.ThresholdCheck{Query: "sum(", Max: "3"}}}
	analyst.Inspect = func(check analysis.Check, args map[string]string) error {
		if args["serin.canaryHash"] == "" {
			t.Error("a placeholder has no value")
		}
		if check.Threshold != nil && check.Threshold.Query == "sum(" {
			return &analysis.Absence{Kind: analysis.BadQuery, Message: "unclosed left parenthesis"}
		}
		return nil
	}
	_, err := analyst.Look(t.Context(), trial)
	if err == nil || !strings.Contains(err.Error(), "check queue: unclosed left parenthesis; write a PromQL expression that gives one number") {
		t.Errorf("error %v, want one with the check, what is wrong and what to do", err)
	}
	if accepted := analyst.Accept(t.Context(), trial.Rollout); accepted == nil || !strings.Contains(errors.Unwrap(err).Error(), accepted.Error()) {
		t.Errorf("before the trial it is %v, at its start %v", accepted, err)
	}
	var runs v1alpha1.AnalysisRunList
	if err := analyst.Client.List(t.Context(), &runs); err != nil || len(runs.Items) != 0 {
		t.Fatalf("%d AnalysisRuns, %v; want none", len(runs.Items), err)
	}
	trial.Rollout.Spec.Analysis.Checks[0].Threshold.Query = "sum(queue)"
	if _, err := analyst.Look(t.Context(), trial); err != nil {
		t.Errorf("what was mended is not taken: %v", err)
	}
}
