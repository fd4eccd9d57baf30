// Package counting turns raw samples of counters into numbers of requests, over
// disjoint windows. It is pure.
package counting

import (
	"math"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Born tells when the target of a series began to run, if that is known.
type Born func(labels map[string]string) (time.Time, bool)

// Requests counts the requests of both arms, stable first: Total from the
// series in total, Failed from those in failed. Both hold raw samples that reach
// back beyond the window's start.
//
// Every sample belongs to the one window its time falls into, and a series
// rises from its last sample at or before the window's start, so that disjoint
// windows count each request once, also across missed scrapes. A value below
// the one before it is a reset, the counter began again at 0, once the next sample
// is below that one too; its requests belong to the next sample's window. A series without
// an earlier sample counts from 0 when it was born where it could have been
// seen: its target was seen before, or is known to have begun after everything
// in sight. Otherwise its first sample only sets the base, because the target or
// the source itself may just have come back; nothing is ever invented.
func Requests(w analysis.Window, total, failed [2][]analysis.Series, born Born) (stable, canary analysis.Counts) {
	var everything [2][]analysis.Series
	for arm := range total {
		everything[arm] = append(append(everything[arm], total[arm]...), failed[arm]...)
	}
	seen := sighting(w, everything)
	var counts [2]analysis.Counts
	for arm := range total {
		for _, s := range total[arm] {
			counts[arm].Total += increase(s, w, seen.fromZero(s, born))
		}
		for _, s := range failed[arm] {
			counts[arm].Failed += increase(s, w, seen.fromZero(s, born))
		}
		// Two metrics of one program are not updated in one instant.
		counts[arm].Failed = min(counts[arm].Failed, counts[arm].Total)
	}
	return counts[0], counts[1]
}

// Sampled is true when at least one of the series has a sample in the window
// that is a number.
func Sampled(w analysis.Window, series []analysis.Series) bool {
	for _, s := range series {
		for i := len(s.Samples) - 1; i >= 0 && s.Samples[i].Time.After(w.Start); i-- {
			if !s.Samples[i].Time.After(w.End) && countable(s.Samples[i].Value) {
				return true
			}
		}
	}
	return false
}

// Settled is false while the last sample of a series in the window is below the
// one before it, and the next one, which tells a counter that began again from
// one wrong sample, can still be expected: within twice the time between the two.
func Settled(w analysis.Window, series []analysis.Series) bool {
	for _, s := range series {
		var c counter
		var at, before time.Time
		for _, p := range s.Samples {
			if countable(p.Value) && !p.Time.After(w.End) {
				c.next(p.Value)
				at, before = p.Time, at
			}
		}
		if c.fell && w.End.Sub(at) < 2*at.Sub(before) {
			return false
		}
	}
	return true
}

// increase sums a counter's rises over the window.
func increase(s analysis.Series, w analysis.Window, fromZero bool) float64 {
	sum, c := 0.0, counter{based: fromZero}
	for _, p := range s.Samples {
		if !countable(p.Value) || p.Time.After(w.End) {
			continue
		}
		if rise := c.next(p.Value); p.Time.After(w.Start) {
			sum += rise
		}
	}
	return sum
}

// countable says whether a value can be a counter's.
func countable(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) && v >= 0 }

// counter follows one counter sample by sample.
type counter struct {
	based bool
	last  float64
	// fell is true while last is below the sample before it, top: either the
	// counter began again at 0, or one sample is wrong. The next one tells.
	fell bool
	top  float64
}

// next is what a sample adds. A fall adds nothing until the sample after it
// confirms it, so that one wrong sample adds no request that never was.
func (c *counter) next(v float64) float64 {
	rise := 0.0
	switch {
	case !c.based:
	case c.fell && v >= c.top:
		rise = v - c.top
	case c.fell && v >= c.last:
		rise = v
	case c.fell:
		rise = c.last
	case v >= c.last:
		rise = v - c.last
	}
	c.fell, c.top = c.based && v < c.last, c.last
	c.last, c.based = v, true
	return rise
}

// sight is what was visible before a window began.
type sight struct {
	window  analysis.Window
	any     bool
	targets map[string]bool
	// earliest is the first sample of all, the edge of what could be seen.
	earliest time.Time
}

func sighting(w analysis.Window, arms [2][]analysis.Series) sight {
	s := sight{window: w, targets: map[string]bool{}}
	for _, arm := range arms {
		for _, series := range arm {
			if len(series.Samples) == 0 {
				continue
			}
			first := series.Samples[0].Time
			if s.earliest.IsZero() || first.Before(s.earliest) {
				s.earliest = first
			}
			if !first.After(w.Start) {
				s.any = true
				s.targets[target(series.Labels)] = true
			}
		}
	}
	return s
}

// fromZero decides whether a series that has no sample before the window began
// within sight, so that all of its first sample is new.
func (s sight) fromZero(series analysis.Series, born Born) bool {
	if len(series.Samples) == 0 || !series.Samples[0].Time.After(s.window.Start) {
		return false
	}
	if s.targets[target(series.Labels)] {
		return true
	}
	if born == nil {
		return false
	}
	at, known := born(series.Labels)
	return known && (s.any && at.After(s.earliest) || !at.Before(s.window.Start))
}

// target names the scraped process a series comes from.
func target(labels map[string]string) string {
	return labels["job"] + "\xff" + labels["namespace"] + "\xff" + labels["pod"] + "\xff" + labels["instance"]
}
