package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Measure is what a case is held against.
type Measure string

// The measures.
const (
	// FalseRollbacks is the share of good canaries rolled back.
	FalseRollbacks Measure = "false rollbacks"
	// TimeToDetect is the median time until a bad canary is rolled back.
	TimeToDetect Measure = "time to detect"
	// CaughtBeforeHalf is the share of bad canaries rolled back before the
	// weight reached 50%.
	CaughtBeforeHalf Measure = "caught before 50%"
)

// Case is a scenario with what it must reach.
type Case struct {
	// Name in the record of a benchmark.
	Name     string
	Scenario Scenario
	Measure  Measure
	// Limit is a share (0 to 1) or seconds. CaughtBeforeHalf must reach it, the
	// others must not exceed it; 0 is no limit.
	Limit float64
}

// Row is a case's outcome.
type Row struct {
	Case    Case
	Summary Summary
}

// DefaultSpec is the analysis the suite is run with: one ratio check with an
// objective of 1%, at alpha 1%.
func DefaultSpec() analysis.Spec {
	return analysis.Spec{Alpha: 0.01, Checks: []analysis.Check{{
		Name: "errors", Kind: analysis.KindRatio, Interval: 2 * time.Second,
		Ratio: &analysis.Ratio{Total: "requests", Bad: "failures", Comparison: analysis.Comparison{Objective: 0.01}},
	}}}
}

// Suite is what the judge must reach: a ramp from 5 to 50% within 30 minutes,
// looked at every 2 seconds, stable known for 30 minutes before.
func Suite() []Case {
	const alpha = 0.01
	good := func(name string, limit float64, t Traffic) Case {
		t.Canary = t.Baseline
		return Case{Name: "analysis.false_rollbacks." + name, Scenario: ramp(name, t), Measure: FalseRollbacks, Limit: limit}
	}
	bad := func(name string, m Measure, limit float64, t Traffic) Case {
		return Case{Name: "analysis." + name, Scenario: ramp(name, t), Measure: m, Limit: limit}
	}
	bursts, short := Traffic{Burst: 10}, Traffic{Incidents: 6, IncidentLength: 30 * time.Second, IncidentRate: 0.1}
	at := func(t Traffic, perSecond, baseline float64) Traffic {
		t.RequestsPerSecond, t.Baseline = perSecond, baseline
		return t
	}
	return []Case{
		good("independent_100rps_0.1pct", alpha, at(Traffic{}, 100, 0.001)),
		good("independent_100rps_1pct", alpha, at(Traffic{}, 100, 0.01)),
		good("independent_100rps_1.4pct_over_objective", alpha, at(Traffic{}, 100, 0.014)),
		good("independent_1rps_1pct", alpha, at(Traffic{}, 1, 0.01)),
		good("diurnal_100rps_0.1pct", alpha, at(Traffic{Diurnal: 0.5}, 100, 0.001)),
		good("bursts10_100rps_0.1pct", 2*alpha, at(bursts, 100, 0.001)),
		good("bursts10_100rps_1pct", 2*alpha, at(bursts, 100, 0.01)),
		good("bursts10_10rps_0.1pct", 2*alpha, at(bursts, 10, 0.001)),
		good("bursts10_10rps_1pct", 2*alpha, at(bursts, 10, 0.01)),
		good("bursts10_1rps_1pct", 2*alpha, at(bursts, 1, 0.01)),
		good("incidents_100rps_0.1pct", 2*alpha, at(short, 100, 0.001)),
		good("incidents_10rps_0.1pct", 2*alpha, at(short, 10, 0.001)),
		bad("detect_0.1_to_5pct_100rps", TimeToDetect, 20, Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.05}),
		bad("detect_0.1_to_0.5pct_100rps", TimeToDetect, 300, Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.005}),
		bad("detect_late_20pct_50rps", TimeToDetect, 20, Traffic{RequestsPerSecond: 50, Baseline: 0.001, Canary: 0.2, BadFrom: 520 * time.Second}),
		bad("caught_before_half_0.1_to_5pct_1rps", CaughtBeforeHalf, 0.95, Traffic{RequestsPerSecond: 1, Baseline: 0.001, Canary: 0.05}),
	}
}

// stablePods are scraped beside one pod of the canary, where phases are random.
const stablePods = 3

// Scraped is what the judge must reach where pods are scraped: the suite's ramp
// and looks, each pod at a random phase of its own, or one pod of either with the
// canary's scraped by a part of the interval after stable's. Nothing is promised of
// how long it takes to find a bad canary: that depends on the scrapes.
func Scraped() []Case {
	suite := map[string]Case{}
	for _, c := range Suite() {
		suite[strings.TrimPrefix(c.Name, "analysis.")] = c
	}
	var cases []Case
	add := func(of string, every time.Duration, apart float64) {
		c := suite[of]
		c.Name += fmt.Sprintf("_scrape%gs", every.Seconds())
		c.Scenario.Scrapes = Scrapes{Every: every, Random: true, Stable: stablePods}
		if apart > 0 {
			c.Name += fmt.Sprintf("_apart%gpct", 100*apart)
			c.Scenario.Scrapes = Scrapes{Every: every, Apart: apart}
		}
		if c.Measure == TimeToDetect {
			c.Limit = 0
		}
		cases = append(cases, c)
	}
	const incidents = "false_rollbacks.incidents_100rps_0.1pct"
	for _, every := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute} {
		add(incidents, every, 0)
		for _, apart := range []float64{0.25, 0.5, 0.75} {
			add(incidents, every, apart)
		}
		if every == 15*time.Second {
			continue
		}
		add("false_rollbacks.independent_100rps_0.1pct", every, 0)
		add("false_rollbacks.bursts10_100rps_0.1pct", every, 0)
		add("detect_0.1_to_5pct_100rps", every, 0)
		add("detect_0.1_to_0.5pct_100rps", every, 0)
	}
	return cases
}

func ramp(name string, t Traffic) Scenario {
	return Scenario{Name: name, Traffic: t, Steps: Ramp(5, 50, 10, 30*time.Minute), Past: 30 * time.Minute, Interval: 2 * time.Second}
}

// Value is the measured figure with its 95% interval.
func (r Row) Value() (value, low, high float64) {
	switch r.Case.Measure {
	case TimeToDetect:
		return r.Summary.Median.Seconds(), r.Summary.MedianLow.Seconds(), r.Summary.MedianHigh.Seconds()
	case CaughtBeforeHalf:
		low, high = Wilson(r.Summary.EarlyRuns, r.Summary.Runs)
		return r.Summary.BeforeHalf, low, high
	}
	return r.Summary.Rate, r.Summary.Low, r.Summary.High
}

// Reached is true when the figure keeps the limit. Where bad canaries are to
// be found, at least half of them must be, else there is no median.
func (r Row) Reached() bool {
	value, _, _ := r.Value()
	switch r.Case.Measure {
	case TimeToDetect:
		return value <= r.Case.Limit && 2*r.Summary.Failed >= r.Summary.Runs
	case CaughtBeforeHalf:
		return value >= r.Case.Limit
	}
	return value <= r.Case.Limit
}

// RunCase runs one case.
func RunCase(ctx context.Context, newJudge NewJudge, c Case, runs int) (Row, error) {
	results, err := Run(ctx, newJudge, c.Scenario, runs, nil)
	if err != nil {
		return Row{}, err
	}
	return Row{Case: c, Summary: Summarise(c.Scenario, results)}, nil
}

// WriteTable prints rows for people.
func WriteTable(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "CASE\tMEASURE\tVALUE\t95% INTERVAL\tLIMIT\tREACHED\tRUNS\tP95\tFAILED REQUESTS"); err != nil {
		return err
	}
	for _, r := range rows {
		value, low, high := r.Value()
		text, interval, limit := fmt.Sprintf("%.2f%%", 100*value), fmt.Sprintf("%.2f-%.2f%%", 100*low, 100*high), fmt.Sprintf("%.2f%%", 100*r.Case.Limit)
		if r.Case.Measure == TimeToDetect {
			text, interval, limit = fmt.Sprintf("%.0f s", value), fmt.Sprintf("%.1f%% found", 100*r.Summary.Rate), fmt.Sprintf("%.0f s", r.Case.Limit)
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%v\t%d\t%s\t%.0f\n", r.Case.Name, r.Case.Measure, text, interval, limit,
			r.Reached(), r.Summary.Runs, r.Summary.P95, r.Summary.CanaryFailed); err != nil {
			return err
		}
	}
	return table.Flush()
}

// Figure is one entry of out/bench.json.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	N     int     `json:"n"`
}

// Figures gives the rows' values for the record of a benchmark.
func Figures(rows []Row) []Figure {
	figures := make([]Figure, 0, len(rows))
	for _, r := range rows {
		value, _, _ := r.Value()
		unit := "ratio"
		if r.Case.Measure == TimeToDetect {
			unit = "s"
		}
		figures = append(figures, Figure{Name: r.Case.Name, Value: value, Unit: unit, N: r.Summary.Runs})
	}
	return figures
}

// WriteJSON writes figures as the list that out/bench.json holds.
func WriteJSON(w io.Writer, figures []Figure) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(figures)
}
