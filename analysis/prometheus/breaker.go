package prometheus

import (
	"fmt"
	"sync"
	"time"
)

const (
	// manyOutages in a row, without an answer in between, and a source is away.
	manyOutages = 3
	// pause is the time between two questions to a source that is away.
	pause = 3 * time.Second
	// probeWait is how long the asker of such a question waits for its answer, which
	// otherwise is for those who ask next: a source that hangs would hold one worker
	// of the controller for good.
	probeWait = 250 * time.Millisecond
)

// admission is what becomes of a question.
type admission int

const (
	// toAsk is a question to a source that answers, as far as is known.
	toAsk admission = iota
	// toProbe is one to a source that is away, to see whether it is back.
	toProbe
	// toWithhold is one that is not asked.
	toWithhold
)

// breaker keeps questions from one source that is away, but for one now and then.
// It never decides what an answer means: a question that is withheld is an outage,
// as it would have been had it been asked. A nil breaker lets all through.
type breaker struct {
	mu sync.Mutex
	// outages since the source's last answer.
	outages int
	// since is when the first of these questions was asked, next when one is again.
	since, next time.Time
	// answered is when the source answered last.
	answered time.Time
	// cause is what is known of the last outage.
	cause string
}

// admit says whether a question may be asked now.
func (b *breaker) admit(now time.Time) admission {
	if b == nil {
		return toAsk
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.outages < manyOutages:
		return toAsk
	case now.Before(b.next):
		return toWithhold
	}
	b.next = now.Add(pause)
	return toProbe
}

// succeed notes an answer, whatever it says.
func (b *breaker) succeed(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outages, b.answered = 0, now
}

// fail notes a question without an answer, and when it was asked. Where another
// one was answered since, the source is there: what one user asks may take too
// long, and is no reason to keep the questions of others from it.
func (b *breaker) fail(began, now time.Time, cause string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if began.Before(b.answered) {
		return
	}
	if b.outages == 0 || began.Before(b.since) {
		b.since = began
	}
	b.outages++
	b.cause = cause
	if b.outages == manyOutages {
		b.next = now.Add(pause)
	}
}

// away says whether questions are withheld.
func (b *breaker) away() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outages >= manyOutages
}

// describe says how long the source has been away, when it is asked again and what
// is known of it.
func (b *breaker) describe(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	again := max(b.next.Sub(now), 0).Truncate(time.Second) + time.Second
	return fmt.Sprintf("away since %s; asked again in %s; last: %s", b.since.UTC().Format(time.RFC3339), min(again, pause), b.cause)
}
