// Package judge measures package analysis: how often the judge is wrong, how
// fast it is right, and what it costs.
package judge

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/e2e/bench/figure"
)

const (
	// Delay from the end of a window until the weight is 0: the source is asked
	// 2 s after a window's end (observe.DefaultSettle), and the answer is acted on.
	Delay = 3 * time.Second
	// Runs of one cell that a bound is held against.
	Runs = 2000
)

// Plain is the rule that the judge is compared with: 99% of the canary's
// requests over the last 60 s are good, and one bad look is accepted.
var Plain = simulate.PlainRule{Success: 0.99, Span: time.Minute, Failures: 1}

// PlainInterval is how often the plain rule looks.
const PlainInterval = 10 * time.Second

// Cost gives what the judge costs: figures of package analysis that are other ones
// on another machine. Start starts the counting server that stands for Prometheus
// and gives its address; it is a process of its own, so that its work is not
// counted.
func Cost(ctx context.Context, start func(context.Context) (Source, error), progress io.Writer) ([]figure.Figure, error) {
	fmt.Fprintf(progress, "1,000 simulated rollouts of 30 minutes\n")
	thousand, err := thousandRollouts(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "1,000 rollouts judged on 5 checks every 10 s\n")
	running, err := runningCost(ctx, start)
	return append([]figure.Figure{thousand, verdictCost()}, running...), err
}

// Simulate gives the figures that rest on seeds alone: they are the same
// whenever and wherever they are measured.
func Simulate(ctx context.Context, runs int, progress io.Writer) ([]figure.Figure, error) {
	var figures []figure.Figure
	for _, c := range cases() {
		fmt.Fprintf(progress, "%s, %d runs\n", c.Name, runs)
		for _, seeded := range again(c) {
			row, err := Case(ctx, simulate.Sequential(simulate.DefaultSpec()), seeded, Delay, runs)
			if err != nil {
				return nil, err
			}
			measured := Figure(row)
			if c.Limit == 0 {
				measured = unbound(measured)
			}
			figures = append(figures, measured)
		}
		if !compared[c.Name] {
			continue
		}
		plain, err := plainFigures(ctx, c, runs)
		if err != nil {
			return nil, err
		}
		figures = append(figures, plain...)
	}
	return figures, nil
}

// again is a case, and the same with fresh seeds. No constant was tuned with those
// that are scraped, so their seeds are fresh as they are.
func again(c simulate.Case) []simulate.Case {
	if c.Scenario.Scrapes.Every > 0 {
		return []simulate.Case{c}
	}
	fresh := c
	fresh.Name, fresh.Scenario.Seed = "analysis.out_of_sample"+strings.TrimPrefix(c.Name, "analysis"), freshSeeds
	return []simulate.Case{c, fresh}
}

// freshSeeds begin the seeds that no constant of the judge was tuned with.
const freshSeeds = 77_000_000_000

// plainFigures are what the plain rules make of a case.
func plainFigures(ctx context.Context, c simulate.Case, runs int) ([]figure.Figure, error) {
	var figures []figure.Figure
	c.Scenario.Interval = PlainInterval
	for _, rule := range []struct {
		name     string
		failures int
	}{{"analysis.plain_rule", Plain.Failures}, {"analysis.plain_rule_5_failures", 5}} {
		plain := Plain
		plain.Failures = rule.failures
		row, err := Case(ctx, plain.Judge(), c, Delay, runs)
		if err != nil {
			return nil, err
		}
		row.Case.Name = rule.name + strings.TrimPrefix(c.Name, "analysis")
		figures = append(figures, unbound(Figure(row)))
	}
	return figures, nil
}

// compared are the cases that the plain rule is tried on too; its threshold is
// far above stable's failure rate in each, as people set it.
var compared = map[string]bool{
	"analysis.false_rollbacks.independent_100rps_0.1pct": true,
	"analysis.false_rollbacks.independent_10rps_0.1pct":  true,
	"analysis.false_rollbacks.bursts10_100rps_0.1pct":    true,
	"analysis.false_rollbacks.incidents_100rps_0.1pct":   true,
	"analysis.detect_0.1_to_5pct_100rps":                 true,
	"analysis.detect_0.1_to_0.5pct_100rps":               true,
	"analysis.caught_before_half_0.1_to_5pct_1rps":       true,
}

// cases are those of the suite, one more that the plain rule is compared on, and
// those of slow scrapes.
func cases() []simulate.Case {
	all := simulate.Suite()
	more := all[0]
	more.Name = "analysis.false_rollbacks.independent_10rps_0.1pct"
	more.Scenario.Traffic = simulate.Traffic{RequestsPerSecond: 10, Baseline: 0.001, Canary: 0.001}
	return append(slices.Insert(all, 1, more), simulate.Scraped()...)
}

// Case runs one case of the suite with a judge.
func Case(ctx context.Context, newJudge simulate.NewJudge, c simulate.Case, delay time.Duration, runs int) (simulate.Row, error) {
	c.Scenario.Delay = delay
	return simulate.RunCase(ctx, newJudge, c, runs)
}

// Figure is a row with its promise. Where fewer than half of the bad canaries
// are found there is no median; the length of the rollout stands for it.
func Figure(row simulate.Row) figure.Figure {
	value, low, high := row.Value()
	switch row.Case.Measure {
	case simulate.TimeToDetect:
		if 2*row.Summary.Failed < row.Summary.Runs {
			value = length(row.Case.Scenario).Seconds()
			return figure.New(row.Case.Name, value, "s", row.Summary.Runs).Max(row.Case.Limit)
		}
		return figure.New(row.Case.Name, value, "s", row.Summary.Runs).Between(low, high).Max(row.Case.Limit)
	case simulate.CaughtBeforeHalf:
		return figure.New(row.Case.Name, value, "share", row.Summary.Runs).Between(low, high).Min(row.Case.Limit)
	}
	return figure.New(row.Case.Name, value, "share", row.Summary.Runs).Between(low, high).Max(row.Case.Limit)
}

// unbound takes the promise off: nothing is promised of another's rule, nor of
// cases without a limit.
func unbound(f figure.Figure) figure.Figure {
	f.AtMost, f.AtLeast = nil, nil
	return f
}

func length(sc simulate.Scenario) time.Duration {
	var total time.Duration
	for _, step := range sc.Steps {
		total += step.For
	}
	return total
}

// thousandRollouts is how long it takes to simulate 1,000 healthy rollouts of
// 30 minutes, looked at in the default interval.
func thousandRollouts(ctx context.Context) (figure.Figure, error) {
	traffic := simulate.Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.001}
	sc := simulate.Scenario{Traffic: traffic, Steps: simulate.Ramp(5, 50, 10, 30*time.Minute), Past: 30 * time.Minute, Interval: analysis.DefaultInterval}
	began := time.Now()
	results, err := simulate.Run(ctx, simulate.Sequential(simulate.DefaultSpec()), sc, 1000, nil)
	return figure.New("analysis.simulate_1000_rollouts", time.Since(began).Seconds(), "s", len(results)).Max(10), err
}
