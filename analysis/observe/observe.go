// Package observe asks a time series source what the checks of an analysis
// need, and turns the answers into observations. It decides nothing.
package observe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// DefaultSettle is how long after its end a window is asked for: a scrape
	// is stored with the time it began and is visible when it has ended.
	DefaultSettle = 2 * time.Second
	// lookback reaches back from a window's start for the samples that counters
	// rise from; it spans missed scrapes.
	lookback = 2 * time.Minute
	// maxWindows bounds how many windows are made up for after an outage.
	maxWindows = 30
)

// Arms says which series belong to stable and to the canary.
type Arms struct {
	// Stable and Canary fill the placeholders of the queries of either arm.
	Stable map[string]string
	Canary map[string]string
	// Born tells when a series' pod started; nil where that is unknown.
	Born analysis.Born
}

// Observer asks one source.
type Observer struct {
	Source analysis.Source
	// Settle is how long after its end a window is asked for; 0 means
	// DefaultSettle.
	Settle time.Duration
}

// Due gives the observations of one ratio, latency or threshold check that are
// due at now: one per window that has ended and settled since the last one
// counted. A window in which one arm was not scraped is joined to the next.
// Where there is nothing new the result is empty.
func (o Observer) Due(ctx context.Context, check analysis.Check, arms Arms, state analysis.State, now time.Time) []analysis.Observation {
	start, ends := o.windows(check, state, now)
	var due []analysis.Observation
	var last *analysis.Observation
	for _, end := range ends {
		if longest := joinLimit(check); end.Sub(start) > longest {
			start = end.Add(-interval(check))
		}
		obs := o.Window(ctx, check, arms, analysis.Window{Start: start, End: end})
		if obs.Absence != nil {
			last = &obs
			if obs.Absence.Kind == analysis.Outage || obs.Absence.Kind == analysis.BadQuery {
				break
			}
			continue
		}
		due, last, start = append(due, obs), nil, end
	}
	if last != nil {
		due = append(due, *last)
	}
	return due
}

// Window gives a check's observation of one window.
func (o Observer) Window(ctx context.Context, check analysis.Check, arms Arms, w analysis.Window) analysis.Observation {
	obs := analysis.Observation{Check: check.Name, Window: w}
	var err error
	switch check.Kind {
	case analysis.KindRatio, analysis.KindLatency:
		err = o.counts(ctx, check, arms, &obs)
	case analysis.KindThreshold:
		err = o.value(ctx, check, arms, &obs)
	default:
		err = &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("kind %s is not asked of a time series source", check.Kind)}
	}
	if err != nil {
		obs.Absence = absence(err)
	}
	return obs
}

// Past gives stable's counts in consecutive windows from from to to, for
// analysis.Learn. One query serves the whole stretch.
func (o Observer) Past(ctx context.Context, check analysis.Check, arms Arms, from, to time.Time) ([]analysis.Counts, error) {
	total, bad, err := o.series(ctx, check, arms.Stable, from, to)
	if err != nil {
		return nil, err
	}
	var past []analysis.Counts
	step := interval(check)
	for start := from.Truncate(step).Add(step); !start.Add(step).After(to); start = start.Add(step) {
		w := analysis.Window{Start: start, End: start.Add(step)}
		if !analysis.Sampled(w, total) {
			continue
		}
		c, _ := analysis.CountRatio(w, [2][]analysis.Series{total}, [2][]analysis.Series{bad}, matches(check), arms.Born)
		past = append(past, c)
	}
	return past, nil
}

// windows gives where the next window starts and the ends that are due.
func (o Observer) windows(check analysis.Check, state analysis.State, now time.Time) (time.Time, []time.Time) {
	step := interval(check)
	settle := o.Settle
	if settle <= 0 {
		settle = DefaultSettle
	}
	start := state.Started.Add(check.InitialDelay).Truncate(step)
	if check.InitialDelay > 0 {
		start = start.Add(step)
	}
	for _, c := range state.Checks {
		if c.Name == check.Name && c.Through.After(start) {
			start = c.Through
		}
	}
	newest := now.Add(-settle).Truncate(step)
	if oldest := newest.Add(-maxWindows * step); start.Before(oldest) {
		start = oldest
	}
	var ends []time.Time
	for end := start.Truncate(step).Add(step); !end.After(newest); end = end.Add(step) {
		ends = append(ends, end)
	}
	return start, ends
}

func (o Observer) counts(ctx context.Context, check analysis.Check, arms Arms, obs *analysis.Observation) error {
	var total, bad [2][]analysis.Series
	for i, args := range []map[string]string{arms.Stable, arms.Canary} {
		var err error
		if total[i], bad[i], err = o.series(ctx, check, args, obs.Window.Start.Add(-lookback), obs.Window.End); err != nil {
			return err
		}
		arm := [2]string{"stable", "the canary"}[i]
		if len(total[i]) == 0 {
			return &analysis.Absence{Kind: analysis.NoSeries, Message: "no request counter of " + arm}
		}
		if !analysis.Sampled(obs.Window, total[i]) {
			return &analysis.Absence{Kind: analysis.NoData, Message: arm + " was not scraped in this window"}
		}
	}
	stable, canary := analysis.CountRatio(obs.Window, total, bad, matches(check), arms.Born)
	obs.Stable, obs.Canary = &stable, &canary
	return nil
}

// series fetches the counters of all and of failed requests of one arm. The
// latter are empty where labels tell failed requests apart.
func (o Observer) series(ctx context.Context, check analysis.Check, args map[string]string, from, to time.Time) (total, bad []analysis.Series, err error) {
	if check.Latency != nil {
		return o.buckets(ctx, *check.Latency, args, from, to)
	}
	if total, err = o.fetch(ctx, check.Ratio.Total, args, from, to); err != nil || check.Ratio.Bad == "" {
		return total, nil, err
	}
	bad, err = o.fetch(ctx, check.Ratio.Bad, args, from, to)
	return total, bad, err
}

func (o Observer) fetch(ctx context.Context, selector string, args map[string]string, from, to time.Time) ([]analysis.Series, error) {
	rendered, err := analysis.Render(selector, args)
	if err != nil {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: err.Error()}
	}
	return o.Source.Series(ctx, analysis.SeriesQuery{Selector: rendered, Start: from, End: to})
}

func (o Observer) value(ctx context.Context, check analysis.Check, arms Arms, obs *analysis.Observation) error {
	rendered, err := analysis.Render(check.Threshold.Query, arms.Canary)
	if err != nil {
		return &analysis.Absence{Kind: analysis.BadQuery, Message: err.Error()}
	}
	value, err := o.Source.Value(ctx, analysis.ValueQuery{Expression: rendered, At: obs.Window.End})
	if err != nil {
		return err
	}
	if math.IsNaN(value) {
		return &analysis.Absence{Kind: analysis.NoData, Message: "the query gave NaN"}
	}
	obs.Value = &value
	return nil
}

// absence turns any error into the typed one of the port.
func absence(err error) *analysis.Absence {
	var a *analysis.Absence
	if errors.As(err, &a) {
		return a
	}
	return &analysis.Absence{Kind: analysis.Outage, Message: strings.TrimSpace(err.Error())}
}

func matches(check analysis.Check) []analysis.LabelMatch {
	if check.Ratio != nil {
		return check.Ratio.BadLabels
	}
	return nil
}

func interval(check analysis.Check) time.Duration {
	if check.Interval > 0 {
		return check.Interval
	}
	return analysis.DefaultInterval
}

// joinLimit bounds how long a window may grow by joining.
func joinLimit(check analysis.Check) time.Duration {
	return max(time.Minute, 6*interval(check))
}
