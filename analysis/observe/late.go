package observe

import (
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// disorder is by how much a sample may be shown later than younger ones of other
// series: those of one scrape, and of several queues of a remote write, come apart.
const disorder = DefaultSettle

// arrived says whether a source has shown all samples up to a window's end that it
// will. Some show them seconds after the scrape: VictoriaMetrics, which makes new
// samples searchable every few seconds, and all who are written to, by a remote
// write or from a remote agent. A window that is counted before would lose the
// requests of its last samples, since the next one rises from these.
//
// A series whose next sample was due by the window's end is waited for until the
// source shows younger ones of any series: the target then was not scraped, or
// has ended. Where samples come at once nothing is waited for.
func arrived(arms [2][]analysis.Series, end time.Time) bool {
	shown := newest(arms).Add(-disorder)
	for _, series := range arms {
		for _, s := range series {
			if due, ok := nextDue(s.Samples, end); ok && !due.After(end) && due.After(shown) {
				return false
			}
		}
	}
	return true
}

// newest is the time of the youngest sample of all.
func newest(arms [2][]analysis.Series) time.Time {
	var at time.Time
	for _, series := range arms {
		for _, s := range series {
			if n := len(s.Samples); n > 0 {
				at = later(at, s.Samples[n-1].Time)
			}
		}
	}
	return at
}

// nextDue is when the sample after the last one until end is due, by the shortest
// of the times between the last few; false where it is there, or none can be told.
func nextDue(samples []analysis.Sample, end time.Time) (time.Time, bool) {
	const few = 4
	n := len(samples)
	if n < 2 || samples[n-1].Time.After(end) {
		return time.Time{}, false
	}
	gap := samples[n-1].Time.Sub(samples[n-2].Time)
	for i := n - 2; i > 0 && n-i < few; i-- {
		gap = min(gap, samples[i].Time.Sub(samples[i-1].Time))
	}
	return samples[n-1].Time.Add(gap), true
}
