package observe

import (
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// While it bakes no pod of stable is left. What the new revision answers is
// counted all the same, and its objective decides.
func TestAloneInTheBake(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	check := analysis.Check{Name: "c", Kind: analysis.KindRatio, Interval: 10 * time.Second, Ratio: &analysis.Ratio{
		Total: "r", Bad: `r{code=~"5.."}`, Comparison: analysis.Comparison{Objective: 0.01}}}
	without := analysis.Arms{Stable: `pod=~"-"`, Canary: `pod=~"web-b-.+"`}
	for _, tc := range []struct {
		name  string
		trial Trial
		fails bool
		want  analysis.Outcome
	}{
		{"well", Trial{Arms: without, Alone: true}, false, analysis.Pass},
		{"failing", Trial{Arms: without, Alone: true}, true, analysis.Fail},
		{"before the bake stable is missed", Trial{Arms: without}, true, analysis.Inconclusive},
		{"no series of the new revision either", Trial{Arms: analysis.Arms{Stable: `pod=~"-"`, Canary: `pod="none"`}, Alone: true}, true, analysis.Inconclusive},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state, v := analysis.NewState(start), analysis.Verdict{}
			for i := 1; i <= 30 && v.Outcome != analysis.Fail; i++ {
				now := start.Add(time.Duration(i) * 10 * time.Second)
				due := Observer{Source: served(start, tc.fails)}.Due(t.Context(), check, tc.trial, state, now)
				state, v = analysis.Judge(analysis.Spec{Checks: []analysis.Check{check}}, state, due, now)
			}
			if v.Outcome != tc.want {
				t.Errorf("%s: %q; want %s", v.Outcome, v.Message, tc.want)
			}
		})
	}
}
