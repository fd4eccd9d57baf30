package chart_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/chart"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestWrite draws checks of each kind; 120 looks become 60 characters.
func TestWrite(t *testing.T) {
	var probes, ratio analysis.History
	for k := range 4 {
		probes.Points = append(probes.Points, analysis.Point{At: began.Add(time.Duration(k) * time.Second), Looks: 1, Number: float64(k), Failed: k == 1})
	}
	for k := range 120 {
		ratio.Points = append(ratio.Points, analysis.Point{At: began.Add(time.Duration(k) * time.Second), Looks: 1, LogEvidence: float64(k) / 20,
			Stable: analysis.Counts{Total: 10}, Canary: analysis.Counts{Total: 10, Failed: float64(k / 60)}})
	}
	state := analysis.State{Checks: []analysis.CheckState{{Name: "peers", History: probes}, {Name: "errors", History: ratio}}}
	verdict := analysis.Verdict{Checks: []analysis.CheckVerdict{
		{Name: "errors", Kind: analysis.KindRatio, Outcome: analysis.Fail, Message: "worse", Evidence: 400, Limit: 100,
			Stable: &analysis.Counts{Total: 1200}, Canary: &analysis.Counts{Total: 1200, Failed: 60}},
		{Name: "peers", Kind: analysis.KindPeers, DryRun: true, Outcome: analysis.Pass, Message: "well", Number: 3},
		{Name: "slow", Kind: analysis.KindLatency, Outcome: analysis.Inconclusive, Message: "nothing has been observed yet"},
	}}
	var out strings.Builder
	if err := chart.Write(&out, state, verdict); err != nil {
		t.Fatal(err)
	}
	// Evidence grows in a straight line until it is beyond where the check fails.
	rising := ""
	for level, cells := range []int{3, 7, 6, 7, 7, 6, 7, 17} {
		rising += strings.Repeat(string([]rune("▁▂▃▄▅▆▇█")[level]), cells)
	}
	want := `errors (ratio): Fail
  worse
  evidence  ` + rising + `  E is 400, a full bar is 100, where it fails
  canary    ` + strings.Repeat("▁", 30) + strings.Repeat("█", 30) + `  60 of 1200 (5%)
  stable    ` + strings.Repeat("▁", 60) + `  0 of 1200 (0%); a full bar is 10%
            12:00:00 to 12:01:59 UTC, 120 looks
peers (peers, dry run): Pass
  well
  number    ▁▃▆█  3 at last, a full bar is 3
  failed     x
            12:00:00 to 12:00:03 UTC, 4 looks
slow (latency): Inconclusive
  nothing has been observed yet
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("chart (-want +got):\n%s", diff)
	}
}

func TestSpan(t *testing.T) {
	for _, tc := range []struct {
		to   time.Time
		want string
	}{
		{began.Add(90 * time.Second), "2026-03-01T12:00:00Z, 1m30s"},
		{time.Time{}, "2026-03-01T12:00:00Z, under way"},
	} {
		if got := chart.Span(began, tc.to); got != tc.want {
			t.Errorf("span %q, want %q", got, tc.want)
		}
	}
}
