package observe

import (
	"context"
	"errors"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
)

// Due gives the observations of one ratio, latency, threshold or resources
// check that are due at now. Where nothing is due the result is empty; a window in
// which an arm is yet to be scraped is not due before it is joinLimit long, so
// that looks may be more frequent than scrapes.
//
// Requests are counted in the same windows whenever they are asked for: after an
// outage, or where the source was late, one question serves all the time since,
// up to a limit, and its answer is cut into the windows that would have been
// looked at one by one. So what a failing source costs is time and no evidence.
func (o Observer) Due(ctx context.Context, check analysis.Check, trial Trial, state analysis.State, now time.Time) []analysis.Observation {
	open := o.open(check, state, now)
	if !open.Start.Before(open.End) {
		return nil
	}
	if check.Kind == analysis.KindRatio || check.Kind == analysis.KindLatency {
		return o.requests(ctx, check, trial, open)
	}
	var due []analysis.Observation
	for _, w := range pieces(open, joinLimit(check)) {
		obs, err := o.ask(ctx, check, trial, w)
		if errors.Is(err, errNotScraped) && w.End.Sub(w.Start) < joinLimit(check) {
			break
		}
		due = append(due, obs)
		if a := obs.Absence; a != nil && (a.Kind == analysis.Outage || a.Kind == analysis.BadQuery) {
			break
		}
	}
	return due
}

// requests counts a stretch of time window by window.
func (o Observer) requests(ctx context.Context, check analysis.Check, trial Trial, open analysis.Window) []analysis.Observation {
	counters, err := o.counters(ctx, check, trial, open)
	if err != nil {
		return []analysis.Observation{{Check: check.Name, Window: open, Absence: absence(err)}}
	}
	return counters.Windows(check, trial, open)
}

// Windows cuts a stretch of time into the windows that requests are counted in,
// as Due does with what a source answers: what is left at its end and not scraped
// yet is part of a later window; where that is long, there is no data. It is
// pure.
func (a Counters) Windows(check analysis.Check, trial Trial, open analysis.Window) []analysis.Observation {
	var due []analysis.Observation
	step, left, why := interval(check), open.Start, ""
	for left.Before(open.End) && !a.settled(analysis.Window{End: left}) {
		// What a counter rises from is in doubt: the trial is counted from later on.
		left = left.Truncate(step).Add(step)
	}
	for end := a.firstEnd(trial, left, open.End, step); !end.After(open.End); end = end.Add(step) {
		obs := analysis.Observation{Check: check.Name, Window: analysis.Window{Start: left, End: end}}
		if !arrived(a.Total, end) {
			why = "samples of this time are yet to be shown by the source"
			break
		}
		if why = a.lacks(trial, obs.Window); why != "" || !a.inPhase(obs.Window) {
			continue
		}
		a.count(check, trial, &obs)
		if obs.Stable.Total == 0 && obs.Canary.Total == 0 && end.Sub(left) < backlog {
			// What repeats the past looks like this too; nothing is lost by waiting.
			why = "no request of either revision was counted: the counters stand still, or nobody asks"
			continue
		}
		due, left = append(due, obs), end
		end = a.firstEnd(trial, left, open.End, step).Add(-step)
	}
	if open.End.Sub(left) >= joinLimit(check) {
		absent := &analysis.Absence{Kind: analysis.NoData, Message: why}
		due = append(due, analysis.Observation{Check: check.Name, Window: analysis.Window{Start: left, End: open.End}, Absence: absent})
	}
	return due
}

// firstEnd is the first end of a window from left on that is worth a look: no
// earlier one has a sample of both arms. Where none has, it is the last one there
// is, which tells what is missing.
func (a Counters) firstEnd(trial Trial, left, last time.Time, step time.Duration) time.Time {
	first := left.Truncate(step).Add(step)
	for arm := range a.Total {
		if trial.spares(arm) {
			continue
		}
		scraped := last
		for _, s := range a.Total[arm] {
			if i := sampledAfter(s.Samples, left); i < len(s.Samples) && s.Samples[i].Time.Before(scraped) {
				scraped = s.Samples[i].Time
			}
		}
		for scraped.After(first) && !first.Add(step).After(last) {
			first = first.Add(step)
		}
	}
	return first
}

// sampledAfter is the index of the first sample later than an instant.
func sampledAfter(samples []analysis.Sample, at time.Time) int {
	i := len(samples)
	for i > 0 && samples[i-1].Time.After(at) {
		i--
	}
	return i
}

// Counters are both arms' counters, stable's first: of all requests, and of the
// part of them that a check tells apart. The samples of a series reach back to
// before the window that is counted.
type Counters struct{ Total, Part [2][]analysis.Series }

// counters asks for what it takes to count a stretch of time.
func (o Observer) counters(ctx context.Context, check analysis.Check, trial Trial, w analysis.Window) (Counters, error) {
	total, part, err := o.series(ctx, check, trial, reach(w.Start), w.End)
	if err != nil {
		return Counters{}, err
	}
	for arm := range total {
		if len(total[arm]) == 0 && !trial.spares(arm) {
			return Counters{}, &analysis.Absence{Kind: analysis.NoSeries, Message: "no request counter of " + armNames[arm]}
		}
	}
	return Counters{Total: total, Part: part}, overlap(total)
}

// spares says whether an arm may be without series.
func (t Trial) spares(arm int) bool { return t.Alone && arm == stable }

// lacks says why a window cannot be counted yet; empty where it can.
func (a Counters) lacks(trial Trial, w analysis.Window) string {
	for arm := range a.Total {
		if !trial.spares(arm) && !counting.Sampled(w, a.Total[arm]) {
			return errNotScraped.Message + ": " + armNames[arm]
		}
	}
	if !a.settled(w) {
		return "a counter went backwards, and no later sample tells why"
	}
	return ""
}

// settled says whether no counter waits for the sample that tells a restart from
// one wrong sample.
func (a Counters) settled(w analysis.Window) bool {
	for arm := range a.Total {
		if !counting.Settled(w, a.Total[arm]) || !counting.Settled(w, a.Part[arm]) {
			return false
		}
	}
	return true
}

// count fills in an observation of a window that the samples cover.
func (a Counters) count(check analysis.Check, trial Trial, obs *analysis.Observation) {
	stable, canary := counting.Requests(obs.Window, a.Total, a.Part, trial.Born)
	stable, canary = failures(check, stable), failures(check, canary)
	obs.Stable, obs.Canary = &stable, &canary
	obs.Unseen = a.unseen(check, trial)
}

// open is the stretch of time that is not counted yet, from the last window
// that was to the newest boundary that has settled.
func (o Observer) open(check analysis.Check, state analysis.State, now time.Time) analysis.Window {
	step := interval(check)
	settle := o.Settle
	if settle <= 0 {
		settle = DefaultSettle
	}
	newest := now.Add(-settle).Truncate(step)
	start := state.Started.Add(check.InitialDelay).Truncate(step)
	if check.InitialDelay > 0 {
		start = start.Add(step)
	}
	for _, c := range state.Checks {
		if c.Name == check.Name {
			start = later(start, c.Through)
		}
	}
	return analysis.Window{Start: later(start, newest.Add(-backlog)), End: newest}
}

// pieces cuts a stretch of time.
func pieces(of analysis.Window, longest time.Duration) []analysis.Window {
	var windows []analysis.Window
	for start := of.Start; start.Before(of.End); {
		end := start.Add(longest)
		if end.After(of.End) {
			end = of.End
		}
		windows = append(windows, analysis.Window{Start: start, End: end})
		start = end
	}
	return windows
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// joinLimit bounds how long one window may be: longer than any usual interval
// of scrapes.
func joinLimit(check analysis.Check) time.Duration {
	return max(90*time.Second, 6*interval(check))
}
