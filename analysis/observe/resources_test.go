package observe

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
)

// stored answers from memory and counts its questions.
type stored struct {
	series []analysis.Series
	asked  []string
}

func (s *stored) Series(_ context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	s.asked = append(s.asked, q.Selector)
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(q.Selector)
	if err != nil {
		return nil, err
	}
	return samplesIn(q, selector(matchers).filter(s.series)), nil
}

func (s *stored) Value(context.Context, analysis.ValueQuery) (float64, error) {
	return 0, fmt.Errorf("there are series only")
}

// pod is the CPU and memory of a pod that is looked at every 10 s from first on.
func pod(began time.Time, name string, first int, cores, bytes float64) []analysis.Series {
	labels := func(metric string) map[string]string {
		return map[string]string{"__name__": metric, "pod": name, "container": "main"}
	}
	cpu, memory := analysis.Series{Labels: labels("cpu")}, analysis.Series{Labels: labels("memory")}
	for second := first; second <= 600; second += 10 {
		at := began.Add(time.Duration(second) * time.Second)
		cpu.Samples = append(cpu.Samples, analysis.Sample{Time: at, Value: cores * float64(second)})
		memory.Samples = append(memory.Samples, analysis.Sample{Time: at, Value: bytes})
	}
	return []analysis.Series{cpu, memory}
}

var resourcesCheck = analysis.Check{Name: "use", Kind: analysis.KindResources, Interval: 15 * time.Second, Resources: &analysis.Resources{
	CPU: &usage.Bound{Series: "cpu"}, Memory: &usage.Bound{Series: "memory"}}}

// TestResourcesAreMeasured wants the medians of many pods out of one query for
// each resource, and looks that follow one another as often as there is news.
func TestResourcesAreMeasured(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	source := &stored{}
	for i := range 101 {
		source.series = append(source.series, pod(began, fmt.Sprintf("web-a-%d", i), i%10, 0.1+float64(i)/1000, 1e6*float64(100+i))...)
	}
	for i := range 3 {
		source.series = append(source.series, pod(began, fmt.Sprintf("web-b-%d", i), 2*i, 0.5, 9e8)...)
	}
	state := analysis.NewState(began)
	spec := analysis.Spec{Checks: []analysis.Check{resourcesCheck}}
	looks := 0
	for second := 2; second <= 90; second += 2 {
		now := began.Add(time.Duration(second) * time.Second)
		source.asked = nil
		due := Observer{Source: source}.Due(t.Context(), resourcesCheck, trial, state, now)
		if len(source.asked) > 2 {
			t.Fatalf("asked %d questions: %q", len(source.asked), source.asked)
		}
		for _, o := range due {
			looks++
			if o.Absence != nil {
				t.Fatalf("after %d s: %v", second, o.Absence)
			}
			near(t, "stable's CPU", o.Usage.CPU.Stable, 0.15, 0.03)
			near(t, "the canary's CPU", o.Usage.CPU.Canary, 0.5, 0.001)
			near(t, "stable's memory", o.Usage.Memory.Stable, 150e6, 30e6)
			near(t, "the canary's memory", o.Usage.Memory.Canary, 9e8, 1)
		}
		state, _ = analysis.Judge(spec, state, due, now)
	}
	if looks != 5 || state.Checks[0].Failed == nil || state.Checks[0].Failed.Reason != analysis.ReasonOverStable {
		t.Errorf("%d looks in 90 s, then %+v", looks, state.Checks[0].Failed)
	}
}

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if got < want-by || got > want+by {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// TestResourcesMissing states what an arm that is not there means.
func TestResourcesMissing(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ended := pod(began, "web-a-1", 0, 0.1, 1e6)
	for i := range ended {
		ended[i].Samples = ended[i].Samples[:2]
	}
	canary := pod(began, "web-b-1", 0, 0.1, 1e6)
	for _, tc := range []struct {
		name   string
		series []analysis.Series
		after  time.Duration
		kind   analysis.AbsenceKind
		text   string
	}{
		{"no stable, as while it bakes", canary, time.Minute, analysis.NoSeries, "no series of the CPU of stable's pods"},
		{"no canary", pod(began, "web-a-1", 0, 0.1, 1e6), time.Minute, analysis.NoSeries, "of the canary's pods"},
		{"stable is not looked at any more, for a short time", append(canary, ended...), 40 * time.Second, "", ""},
		{"stable is not looked at any more", append(canary, ended...), 110 * time.Second, analysis.NoData, "not scraped in this window"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := began.Add(30*time.Second + tc.after)
			state := analysis.NewState(began.Add(15 * time.Second))
			due := Observer{Source: &stored{series: tc.series}}.Due(t.Context(), resourcesCheck, trial, state, now)
			if tc.kind == "" {
				if len(due) != 0 {
					t.Errorf("due is %+v, want nothing yet", due)
				}
				return
			}
			if len(due) == 0 || due[0].Absence == nil || due[0].Absence.Kind != tc.kind || !strings.Contains(due[0].Absence.Message, tc.text) {
				t.Errorf("got %+v, want %s with %q", due, tc.kind, tc.text)
			}
		})
	}
}
