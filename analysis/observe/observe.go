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
	"github.com/serin-gitops/serin/analysis/counting"
)

const (
	// DefaultSettle is how long after its end a window is asked for: a scrape
	// is stored with the time it began and is visible when it has ended.
	DefaultSettle = 2 * time.Second
	// Lookback reaches back from a window's start for the samples that counters
	// rise from; it spans missed scrapes.
	Lookback = 2 * time.Minute
	// reachFrom is what the times are whole of that Lookback really reaches back to.
	// Where a source makes one series of two replicas', as Thanos does, it goes by
	// the first sample after the start of what is asked for, and replicas are scraped
	// at phases of their own. Were the start at any phase, two questions would get
	// the samples of two replicas, and requests between their scrapes be counted
	// twice; scrape intervals divide a minute, so that whole minutes are all alike.
	reachFrom = time.Minute
	// backlog is how far back windows are made up for after an outage.
	backlog = 10 * time.Minute
)

// reach is where samples are asked for from, so that a window can be counted that
// begins at start.
func reach(start time.Time) time.Time { return start.Add(-Lookback).Truncate(reachFrom) }

// Trial says which series belong to the two revisions on trial.
type Trial struct {
	// Arms are the label matchers added to the selectors of checks that bring
	// none of their own.
	Arms analysis.Arms
	// Args fill the placeholders of selectors and queries.
	Args map[string]string
	// Born tells when the pod behind a series started; nil where that is unknown.
	Born counting.Born
	// Alone says that no pod of stable is left, as while it bakes: the canary is
	// counted without it.
	Alone bool
}

// Observer asks one source.
type Observer struct {
	Source analysis.Source
	// Settle is how long after its end a window is asked for; 0 means
	// DefaultSettle.
	Settle time.Duration
}

// Window gives a check's observation of one window.
func (o Observer) Window(ctx context.Context, check analysis.Check, trial Trial, w analysis.Window) analysis.Observation {
	obs, _ := o.ask(ctx, check, trial, w) // the error is in the observation
	return obs
}

func (o Observer) ask(ctx context.Context, check analysis.Check, trial Trial, w analysis.Window) (analysis.Observation, error) {
	obs := analysis.Observation{Check: check.Name, Window: w}
	var err error
	switch check.Kind {
	case analysis.KindRatio, analysis.KindLatency:
		err = o.counts(ctx, check, trial, &obs)
	case analysis.KindThreshold:
		err = o.value(ctx, check, trial, &obs)
	case analysis.KindResources:
		err = o.usage(ctx, check, trial, &obs)
	default:
		err = &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("kind %s is not asked of a time series source", check.Kind)}
	}
	if err != nil {
		obs.Absence = absence(err)
	}
	return obs, err
}

// errNotScraped marks a window without a sample of an arm that has series.
var errNotScraped = &analysis.Absence{Kind: analysis.NoData, Message: "not scraped in this window"}

// Past gives stable's counts in consecutive windows from from to to, for
// analysis.Learn. One query serves the whole stretch.
func (o Observer) Past(ctx context.Context, check analysis.Check, trial Trial, from, to time.Time) ([]analysis.Counts, error) {
	total, part, err := o.series(ctx, check, trial, from, to)
	if err != nil {
		return nil, err
	}
	return Counters{Total: total, Part: part}.Past(check, trial, from, to), nil
}

// Past is stable's counts in consecutive windows out of what a source answered.
func (a Counters) Past(check analysis.Check, trial Trial, from, to time.Time) []analysis.Counts {
	var past []analysis.Counts
	step := interval(check)
	for start := from.Truncate(step).Add(step); !start.Add(step).After(to); start = start.Add(step) {
		w := analysis.Window{Start: start, End: start.Add(step)}
		if !counting.Sampled(w, a.Total[stable]) {
			continue
		}
		c, _ := counting.Requests(w, [2][]analysis.Series{a.Total[stable]}, [2][]analysis.Series{a.Part[stable]}, trial.Born)
		past = append(past, failures(check, c))
	}
	return past
}

// The arms, as they index pairs.
const (
	stable = iota
	canary
)

var armNames = [2]string{"stable", "the canary"}

func (o Observer) counts(ctx context.Context, check analysis.Check, trial Trial, obs *analysis.Observation) error {
	counters, err := o.counters(ctx, check, trial, obs.Window)
	if err != nil {
		return err
	}
	if why := counters.lacks(trial, obs.Window); why != "" {
		return &analysis.Absence{Kind: analysis.NoData, Message: why}
	}
	counters.count(check, trial, obs)
	return nil
}

// failures turns the part that was counted into failed requests where it is
// the good ones: by a selector of good requests, or within a latency bound.
func failures(check analysis.Check, c analysis.Counts) analysis.Counts {
	if check.Latency != nil || check.Ratio.Good != "" {
		c.Failed = max(c.Total-c.Failed, 0)
	}
	return c
}

// series fetches the counters of all requests of each arm, and of the part of
// them (bad, good, or within the bound) that the check tells apart. One query
// serves both where the part only narrows the whole, or is told from it by one
// label such as its name: two answers of different moments are then impossible.
func (o Observer) series(ctx context.Context, check analysis.Check, trial Trial, from, to time.Time) (total, part [2][]analysis.Series, err error) {
	if check.Latency != nil {
		return o.latency(ctx, *check.Latency, trial, from, to)
	}
	whole, err := o.pair(check.Ratio.Total, check.Ratio.Arms, trial)
	if err != nil {
		return total, part, err
	}
	narrow, err := o.pair(check.Ratio.Bad+check.Ratio.Good, check.Ratio.Arms, trial)
	if err != nil {
		return total, part, err
	}
	if all, ok := both(whole, narrow); ok {
		series, err := o.Source.Series(ctx, analysis.SeriesQuery{Selector: all.String(), Start: from, End: to})
		for arm := range total {
			total[arm], part[arm] = whole[arm].filter(series), narrow[arm].filter(series)
		}
		return total, part, err
	}
	if total, err = o.fetch(ctx, whole, from, to); err != nil {
		return total, part, err
	}
	if !narrow[stable].narrows(whole[stable]) {
		part, err = o.fetch(ctx, narrow, from, to)
		return total, part, err
	}
	for arm := range part {
		part[arm] = narrow[arm].filter(total[arm])
	}
	return total, part, known(narrow[stable], whole[stable], total)
}

// pair asks a check's selector of both arms.
func (o Observer) pair(text string, own *analysis.Arms, trial Trial) (pair, error) {
	var p pair
	for arm := range p {
		var err error
		if p[arm], err = o.selector(text, own, trial, arm); err != nil {
			return p, err
		}
	}
	return p, nil
}

// selector parses a check's selector and adds what tells the arm apart.
func (o Observer) selector(text string, own *analysis.Arms, trial Trial, arm int) (selector, error) {
	arms := trial.Arms
	if own != nil {
		arms = *own
	}
	base, err := parseSelector(text, trial.Args)
	if err != nil {
		return nil, err
	}
	of, err := parseSelector("{"+[2]string{arms.Stable, arms.Canary}[arm]+"}", trial.Args)
	if err != nil {
		return nil, err
	}
	return base.with(of), nil
}

// fetch gives the series of each arm, from one query where one can serve both.
func (o Observer) fetch(ctx context.Context, p pair, from, to time.Time) (arms [2][]analysis.Series, err error) {
	both, ok := p.joined()
	if !ok {
		for arm := range p {
			if arms[arm], err = o.Source.Series(ctx, analysis.SeriesQuery{Selector: p[arm].String(), Start: from, End: to}); err != nil {
				return arms, err
			}
		}
		return arms, nil
	}
	series, err := o.Source.Series(ctx, analysis.SeriesQuery{Selector: both.String(), Start: from, End: to})
	for arm := range p {
		arms[arm] = p[arm].filter(series)
	}
	return arms, err
}

func (o Observer) value(ctx context.Context, check analysis.Check, trial Trial, obs *analysis.Observation) error {
	rendered, err := Render(check.Threshold.Query, trial.Args)
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

func interval(check analysis.Check) time.Duration {
	if check.Interval > 0 {
		return check.Interval
	}
	return analysis.DefaultInterval
}
