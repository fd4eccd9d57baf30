package judge

import (
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/e2e/bench/figure"
)

// Where most bad canaries are never found, the few that are do not make a
// quick median.
func TestNoMedianOfTheFew(t *testing.T) {
	c := simulate.Case{
		Name: "analysis.detect", Measure: simulate.TimeToDetect, Limit: 20,
		Scenario: simulate.Scenario{Steps: simulate.Ramp(5, 50, 10, 30*time.Minute)},
	}
	few := Figure(simulate.Row{Case: c, Summary: simulate.Summary{Runs: 100, Failed: 40, Median: 5 * time.Second}})
	if few.Kept() || few.Value != 1800 {
		t.Errorf("40 of 100 found: got %s, kept %v; want 1800 s and not kept", few.Text(), few.Kept())
	}
	most := Figure(simulate.Row{Case: c, Summary: simulate.Summary{Runs: 100, Failed: 60, Median: 5 * time.Second}})
	if !most.Kept() || most.Value != 5 {
		t.Errorf("60 of 100 found: got %s, kept %v; want 5 s and kept", most.Text(), most.Kept())
	}
}

func TestSeedsGiveTheSameFigures(t *testing.T) {
	c := cases()[0]
	judge := simulate.Sequential(simulate.DefaultSpec())
	once := func() figure.Figure {
		row, err := Case(t.Context(), judge, c, Delay, 4)
		if err != nil {
			t.Fatal(err)
		}
		return Figure(row)
	}
	if a, b := once(), once(); a.Value != b.Value || *a.High != *b.High {
		t.Errorf("two runs of the same seeds give %s and %s", a.Text(), b.Text())
	}
}

func TestFleetIsJudgedOnWhatTheSourceSays(t *testing.T) {
	out, in := io.Pipe()
	ctx := t.Context()
	var serving errgroup.Group
	serving.Go(func() error { return ServeSource(ctx, in) })
	t.Cleanup(func() {
		if err := serving.Wait(); err != nil {
			t.Error(err)
		}
	})
	address := make([]byte, 100)
	n, err := out.Read(address)
	if err != nil {
		t.Fatal(err)
	}
	source := Source{URL: strings.TrimSpace(string(address[:n]))}
	client, err := prometheus.New(prometheus.Options{URL: source.URL, QueriesPerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	fleet := newFleet(observe.Observer{Source: client}, 3)
	now := began.Add(analysis.DefaultInterval + observe.DefaultSettle)
	if err := fleet.look(ctx, now); err != nil {
		t.Fatal(err)
	}
	asked, err := source.Asked(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if asked < 3 {
		t.Errorf("three rollouts asked %d queries, want one each at least", asked)
	}
	for i, state := range fleet.states {
		for _, check := range state.Checks[:2] {
			if check.Through != began.Add(analysis.DefaultInterval) {
				t.Errorf("rollout %d, check %s: counted through %s, want one window", i, check.Name, check.Through)
			}
		}
	}
}

// TestSlowScrapesAreMeasured wants the promises held against slow scrapes too, each
// case once, and nothing promised of how long they take to find a bad canary.
func TestSlowScrapesAreMeasured(t *testing.T) {
	limits := map[string]float64{}
	for _, c := range cases() {
		if _, twice := limits[c.Name]; twice {
			t.Errorf("%s is there twice", c.Name)
		}
		limits[c.Name] = c.Limit
		if scraped := strings.Contains(c.Name, "_scrape"); scraped != (c.Scenario.Scrapes.Every > 0) || scraped != (len(again(c)) == 1) {
			t.Errorf("%s: scraped every %s, measured on %d sets of seeds", c.Name, c.Scenario.Scrapes.Every, len(again(c)))
		}
	}
	for name, limit := range map[string]float64{
		"analysis.false_rollbacks.incidents_100rps_0.1pct_scrape15s":            0.02,
		"analysis.false_rollbacks.incidents_100rps_0.1pct_scrape30s":            0.02,
		"analysis.false_rollbacks.incidents_100rps_0.1pct_scrape60s":            0.02,
		"analysis.false_rollbacks.incidents_100rps_0.1pct_scrape60s_apart50pct": 0.02,
		"analysis.false_rollbacks.bursts10_100rps_0.1pct_scrape60s":             0.02,
		"analysis.false_rollbacks.independent_100rps_0.1pct_scrape30s":          0.01,
		"analysis.detect_0.1_to_5pct_100rps_scrape60s":                          0,
	} {
		if got, known := limits[name]; !known || got != limit {
			t.Errorf("%s: measured %v, limit %g; want %g", name, known, got, limit)
		}
	}
}
