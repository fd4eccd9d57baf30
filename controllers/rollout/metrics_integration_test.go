//go:build integration

package rollout_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// counters is a source that counts 50 requests of each arm in a window, of
// which a share of the canary's fails; or that is away.
type counters struct {
	mu      sync.Mutex
	failing float64
	away    bool
}

func (c *counters) set(failing float64, away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing, c.away = failing, away
}

func (c *counters) Metrics(context.Context, string, *v1alpha1.MetricSource) (analysisrun.Metrics, error) {
	return c, nil
}

func (c *counters) Due(_ context.Context, check analysis.Check, _ analysisrun.Series, state analysis.State, now time.Time) []analysis.Observation {
	c.mu.Lock()
	defer c.mu.Unlock()
	window := analysis.Window{Start: now.Add(-check.Interval), End: now}
	for _, seen := range state.Checks {
		if seen.Name == check.Name && seen.Through.After(window.Start) {
			return nil
		}
	}
	if c.away {
		return []analysis.Observation{{Check: check.Name, Window: window, Absence: &analysis.Absence{Kind: analysis.Outage, Message: "nobody answers"}}}
	}
	return []analysis.Observation{{
		Check: check.Name, Window: window,
		Stable: &analysis.Counts{Total: 50}, Canary: &analysis.Counts{Total: 50, Failed: 50 * c.failing},
	}}
}

func (c *counters) Past(context.Context, analysis.Check, analysisrun.Series, time.Time, time.Time) ([]analysis.Counts, error) {
	return nil, nil
}

// watched makes a Rollout judged by a ratio check whose step lasts until it is
// told otherwise.
func (e *env) watched(duration time.Duration) {
	e.t.Helper()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Steps = []v1alpha1.Step{{Weight: 50, Duration: &metav1.Duration{Duration: duration}}}
		spec.Analysis.Checks = []v1alpha1.Check{{Name: "errors", Ratio: &v1alpha1.RatioCheck{Total: "requests", Bad: "requests"}}}
	})
}

func TestIntegrationErrorsRollBack(t *testing.T) {
	e := setup(t)
	source := &counters{}
	e.sources = source
	e.deploy(2)
	e.start()
	e.watched(time.Hour)
	stable := e.pods(false)
	e.trial("2")
	source.set(0.2, false)
	ro := e.phase(v1alpha1.RolloutRolledBack)
	if !strings.Contains(ro.Status.Failure, "requests failed") || len(ro.Status.Evidence) < 2 {
		t.Errorf("it failed because %q, evidence %q", ro.Status.Failure, ro.Status.Evidence)
	}
	if got := e.pods(false); len(got) != len(stable) || got[0] != stable[0] {
		t.Errorf("stable's pods changed from %v to %v", stable, got)
	}
}

func TestIntegrationOutageFreezesAndResumes(t *testing.T) {
	e := setup(t)
	source := &counters{}
	e.sources = source
	e.deploy(1)
	e.start()
	e.watched(10 * time.Second)
	before := e.rollout().Status.Stable.TemplateHash
	e.trial("2")
	source.set(0, true)
	var clock time.Duration
	e.until("the clock stands still", func() (bool, string) {
		ro := e.rollout()
		clock = ro.Status.Clock.Duration
		return ro.Status.ClockStopped == "Frozen", ro.Status.ClockStopped + ": " + ro.Status.Message
	})
	looks := 0
	e.until("it has been looked at for a while", func() (bool, string) {
		looks++
		return looks > 30, ""
	})
	if ro := e.rollout(); ro.Status.Phase != v1alpha1.RolloutProgressing || ro.Status.Clock.Duration != clock {
		t.Errorf("during the outage it is %s at %s, frozen at %s: %s", ro.Status.Phase, ro.Status.Clock.Duration, clock, ro.Status.Message)
	}
	source.set(0, false)
	e.passed(before)
}
