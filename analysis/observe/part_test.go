package observe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// held is a source of given series, cut to what is asked.
type held []analysis.Series

func (h held) Series(_ context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	asked, err := parseSelector(q.Selector, nil)
	if err != nil {
		return nil, err
	}
	return samplesIn(q, asked.filter(h)), nil
}

func (held) Value(context.Context, analysis.ValueQuery) (float64, error) { return 0, nil }

// served is an hour of a stable pod that answers and a canary that never does, or
// of two that answer.
func served(start time.Time, canaryFails bool) held {
	var all held
	add := func(pod, code string, perScrape float64) {
		s := analysis.Series{Labels: map[string]string{"__name__": "r", "pod": pod, "code": code}}
		for i := range 720 {
			s.Samples = append(s.Samples, analysis.Sample{Time: start.Add(time.Duration(i-60) * 5 * time.Second), Value: float64(i) * perScrape})
		}
		all = append(all, s)
	}
	add("web-a-1", "200", 400)
	if canaryFails {
		add("web-b-1", "500", 20)
	} else {
		add("web-b-1", "200", 20)
	}
	return all
}

// What is named wrong must neither promote nor go unsaid.
func TestWrongNames(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	arms := func(stable, canary string) *analysis.Arms { return &analysis.Arms{Stable: stable, Canary: canary} }
	for _, tc := range []struct {
		name   string
		ratio  analysis.Ratio
		fails  bool
		want   analysis.Outcome
		proven bool
		text   string
	}{
		{"right", analysis.Ratio{Bad: `r{code=~"5.."}`}, false, analysis.Pass, true, "shown to be good"},
		{"right, and all fail", analysis.Ratio{Bad: `r{code=~"5.."}`}, true, analysis.Fail, false, ""},
		{"bad by a wrong label", analysis.Ratio{Bad: `r{status=~"5.."}`}, true, analysis.Inconclusive, false, "no series of total has the label status; it has code, pod"},
		{"good by a wrong label", analysis.Ratio{Good: `r{status=~"2.."}`}, true, analysis.Inconclusive, false, "has the label status"},
		{"bad by a label of failures alone", analysis.Ratio{Bad: `r{error!=""}`}, false, analysis.Pass, false, `no series of r{error!=""} was ever seen`},
		{"bad of a wrong metric", analysis.Ratio{Bad: "errors_totl"}, true, analysis.Pass, false, "no series of errors_totl was ever seen"},
		{"good of a wrong value", analysis.Ratio{Good: `r{code=~"2xx"}`}, true, analysis.Pass, false, "every request of both failed"},
		{"overlapping arms", analysis.Ratio{Bad: `r{code=~"5.."}`, Comparison: analysis.Comparison{Arms: arms(`pod=~"web-.+"`, `pod=~"web-b-.+"`)}}, true, analysis.Inconclusive, false, "the arms overlap"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.ratio.Total, tc.ratio.Objective = "r", 0.01
			check := analysis.Check{Name: "c", Kind: analysis.KindRatio, Interval: 10 * time.Second, Ratio: &tc.ratio}
			spec := analysis.Spec{Checks: []analysis.Check{check}}
			state, v := analysis.NewState(start), analysis.Verdict{}
			for i := 1; i <= 30 && v.Outcome != analysis.Fail; i++ {
				now := start.Add(time.Duration(i) * 10 * time.Second)
				due := Observer{Source: served(start, tc.fails)}.Due(t.Context(), check, trial, state, now)
				state, v = analysis.Judge(spec, state, due, now)
			}
			if v.Outcome != tc.want || v.Proven != tc.proven || !strings.Contains(v.Message, tc.text) {
				t.Errorf("%s, proven %v: %q; want %s, proven %v, with %q", v.Outcome, v.Proven, v.Message, tc.want, tc.proven, tc.text)
			}
		})
	}
}

func TestEqualArmsAreRefused(t *testing.T) {
	same := analysis.Comparison{Arms: &analysis.Arms{Stable: `pod=~"web-.+"`, Canary: ` pod=~"web-.+"`}}
	for _, check := range []analysis.Check{
		{Ratio: &analysis.Ratio{Comparison: same, Total: "r", Bad: "e"}},
		{Latency: &analysis.Latency{Comparison: same, Histogram: "h", Bound: 1}},
	} {
		var absence *analysis.Absence
		if err := Check(check, trial); !errors.As(err, &absence) || absence.Kind != analysis.BadQuery || !strings.Contains(err.Error(), ".arms") {
			t.Errorf("got %v, want a BadQuery that names the arms", err)
		}
	}
}
