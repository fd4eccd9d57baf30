package probe

import (
	"sync"
	"time"
)

const (
	// beat is how long the pulse sleeps at a time.
	beat = 50 * time.Millisecond
	// grace is how late it may wake: as busy processes do, which have time enough.
	grace = 20 * time.Millisecond
	// tolerable is the part of a request's time, one in so many, that may be missed
	// before a pod is no longer to blame for its answer that did not come in time.
	tolerable = 4
)

// pulse tells for how long this process could not compute when it wanted to: a
// goroutine that sleeps for a beat at a time, and how late it wakes. It beats only
// while something is asked. The zero value is not usable.
type pulse struct {
	now func() time.Time

	mu     sync.Mutex
	asking int
	stop   chan struct{}
	// last is when the goroutine last went to sleep, and missed what all its sleeps
	// took longer than a beat and the grace.
	last   time.Time
	missed time.Duration
}

func newPulse() *pulse { return &pulse{now: time.Now} }

// begin counts a request in and gives the time missed so far. Each begin wants an end.
func (p *pulse) begin() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking++
	now := p.now()
	if p.asking == 1 {
		p.last, p.stop = now, make(chan struct{})
		go p.run(p.stop)
	}
	return p.missedBy(now)
}

// end counts a request out and gives the time missed so far.
func (p *pulse) end() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	missed := p.missedBy(p.now())
	p.asking--
	if p.asking == 0 {
		close(p.stop)
		p.missed = missed
	}
	return missed
}

// missedBy counts the sleep that is still going on as well.
func (p *pulse) missedBy(now time.Time) time.Duration {
	return p.missed + max(0, now.Sub(p.last)-beat-grace)
}

// run beats until stop is closed. Each sleep begins when the last one is over, so that
// every late one counts.
func (p *pulse) run(stop chan struct{}) {
	timer := time.NewTimer(beat)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		if !p.woke(stop) {
			return
		}
		timer.Reset(beat)
	}
}

// woke counts the sleep that is over. It is false where the run with this stop has
// been ended, and the sleep is counted already.
func (p *pulse) woke(stop chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking == 0 || p.stop != stop {
		return false
	}
	now := p.now()
	p.missed, p.last = p.missedBy(now), now
	return true
}
