package observe

import (
	"time"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// sameTime is the share of the time that both arms' counts span which must
	// be common to them, so that an incident of both falls into both counts.
	sameTime = 0.75
	// phaseScrapes of the slower arm, or phaseWait, end the waiting for that:
	// out of phase by less than one scrape, spans of four have most in common.
	phaseScrapes = 4
	phaseWait    = 60 * time.Second
	// phaseFree is how many seconds scrapes may be apart without any of that: what
	// an incident adds to one arm alone then is at most one short window's, which
	// by itself proves nothing, and a bad canary is found the sooner.
	phaseFree = 5
)

// inPhase says whether the arms' counts over a window are of nearly the same
// time. A count spans the time from the last scrape before the window to the last
// one in it, and two targets are not scraped in the same instant.
func (a Counters) inPhase(w analysis.Window) bool {
	if w.End.Sub(w.Start) >= phaseWait {
		return true
	}
	var spans [2]span
	for arm := range spans {
		var ok bool
		if spans[arm], ok = spanOf(a.Total[arm], w); !ok {
			return true
		}
	}
	first, second := spans[stable], spans[canary]
	slower := max(first.every, second.every)
	if slower <= phaseFree || min(first.length(), second.length()) >= (phaseScrapes-0.5)*slower {
		return true
	}
	common := min(first.end, second.end) - max(first.start, second.start)
	all := max(first.end, second.end) - min(first.start, second.start)
	return common >= sameTime*all
}

// span is what one arm's counts cover, in seconds since a window's start, and how
// many seconds its scrapes are apart; of many series the mean.
type span struct{ start, end, every float64 }

func (s span) length() float64 { return s.end - s.start }

// spanOf is false where no series was scraped both before the window and in it.
func spanOf(series []analysis.Series, w analysis.Window) (span, bool) {
	var sum span
	n := 0.0
	for _, s := range series {
		before, last := -1, -1
		for i, p := range s.Samples {
			if !p.Time.After(w.Start) {
				before = i
			}
			if !p.Time.After(w.End) {
				last = i
			}
		}
		if before < 0 || last <= before {
			continue
		}
		start, end := s.Samples[before].Time.Sub(w.Start).Seconds(), s.Samples[last].Time.Sub(w.Start).Seconds()
		sum.start, sum.end, n = sum.start+start, sum.end+end, n+1
		sum.every += s.Samples[last].Time.Sub(s.Samples[0].Time).Seconds() / float64(last)
	}
	if n == 0 {
		return span{}, false
	}
	return span{start: sum.start / n, end: sum.end / n, every: sum.every / n}, true
}
