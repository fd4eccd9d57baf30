package observe

import (
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Two arms out of phase are counted over spans that have most in common, and over
// no longer ones than it takes.
func TestArmsOutOfPhaseAreJoined(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name           string
		every, off     time.Duration
		atLeast, limit time.Duration
	}{
		{"in phase", 2 * time.Second, 0, 2 * time.Second, 2 * time.Second},
		{"a little out of phase", 2 * time.Second, 200 * time.Millisecond, 2 * time.Second, 2 * time.Second},
		{"quick scrapes", 2 * time.Second, time.Second, 2 * time.Second, 2 * time.Second},
		{"half a scrape", 10 * time.Second, 5 * time.Second, 20 * time.Second, 50 * time.Second},
		{"slow scrapes", 15 * time.Second, 7 * time.Second, 15 * time.Second, 60 * time.Second},
		{"very slow scrapes", 30 * time.Second, 15 * time.Second, 60 * time.Second, 60 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all held
			for pod, off := range []time.Duration{0, tc.off} {
				s := analysis.Series{Labels: map[string]string{"__name__": "r", "pod": []string{"web-a-1", "web-b-1"}[pod]}}
				for at := -2 * time.Minute; at < 12*time.Minute; at += tc.every {
					s.Samples = append(s.Samples, analysis.Sample{Time: start.Add(at + off + 10*time.Millisecond), Value: (at + 3*time.Minute).Seconds()})
				}
				all = append(all, s)
			}
			check := analysis.Check{Name: "c", Kind: analysis.KindRatio, Interval: 2 * time.Second, Ratio: &analysis.Ratio{Total: "r", Bad: `r{pod="none"}`}}
			state, windows := analysis.NewState(start), 0
			for now := start; now.Before(start.Add(10 * time.Minute)); now = now.Add(2 * time.Second) {
				due := Observer{Source: all}.Due(t.Context(), check, trial, state, now)
				state, _ = analysis.Judge(analysis.Spec{Checks: []analysis.Check{check}}, state, due, now)
				for _, o := range due {
					windows++
					if length := o.Window.End.Sub(o.Window.Start); o.Absence != nil || windows > 1 && (length < tc.atLeast || length > tc.limit) {
						t.Fatalf("window %d is %s long, absence %v; want %s to %s", windows, length, o.Absence, tc.atLeast, tc.limit)
					}
				}
			}
			if windows < 9 {
				t.Errorf("%d windows in ten minutes", windows)
			}
		})
	}
}
