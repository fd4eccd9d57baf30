package analysis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

func TestValidate(t *testing.T) {
	low := 1.0
	for _, tc := range []struct {
		check analysis.Check
		err   string
	}{
		{analysis.Check{Name: "a", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "t", Bad: "b"}}, ""},
		{analysis.Check{Name: "a", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "q", Min: &low}}, ""},
		{analysis.Check{Name: "a", Kind: "magic"}, `kind "magic" is unknown`},
		{analysis.Check{Name: "a", Kind: analysis.KindHTTP}, "the field http is not set"},
		{analysis.Check{Name: "a", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "t", Bad: "b", Good: "g"}}, "exactly one of bad and good"},
		{analysis.Check{Name: "a", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "t", Bad: "b", Comparison: analysis.Comparison{Objective: 1.5}}}, "objective is 1.5"},
		{analysis.Check{Name: "a", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 1, Timeout: time.Hour}}, "http.timeout is 1h0m0s; it must be at most 10s"},
		{analysis.Check{Name: "a", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "q"}}, "neither min nor max"},
		{analysis.Check{Name: "a", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: 1, List: "x", MustInclude: analysis.IncludeAny}}, "peers.self is needed"},
	} {
		err := analysis.Spec{Checks: []analysis.Check{tc.check}}.Validate()
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%+v: got %v, want %q", tc.check, err, tc.err)
		}
	}
}
