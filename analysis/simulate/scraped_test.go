package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
)

func scrapedRamp(traffic Traffic, scrapes Scrapes) Scenario {
	return Scenario{Traffic: traffic, Steps: Ramp(5, 50, 10, 30*time.Minute), Past: 30 * time.Minute, Interval: 10 * time.Second, Delay: 3 * time.Second, Scrapes: scrapes}
}

func once(t *testing.T, judge NewJudge, sc Scenario, seed uint64) Result {
	t.Helper()
	r, err := Once(t.Context(), judge, sc, seed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counter is a judge that adds up what it is shown.
type counter struct{ seen *[2]analysis.Counts }

func (c counter) Look(o analysis.Observation) (failed, proven bool) {
	c.seen[0].Add(*o.Stable)
	c.seen[1].Add(*o.Canary)
	return false, false
}

func (counter) BeginStep(time.Time) {}

// TestScrapesLoseNothing compares what the judge is shown with what was served:
// but for the scrapes that were not yet to come, all of it.
func TestScrapesLoseNothing(t *testing.T) {
	traffic := Traffic{RequestsPerSecond: 100, Baseline: 0.02, Canary: 0.02}
	for _, every := range []time.Duration{2 * time.Second, 7 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute} {
		sc := scrapedRamp(traffic, Scrapes{Every: every, Random: true, Stable: 3})
		var seen [2]analysis.Counts
		r := once(t, func([]analysis.Counts) Judge { return counter{&seen} }, sc, 7)
		// The ramp means 27.5% of 100 requests/s for 30 minutes.
		const total = 180_000
		least := total * (1 - (3*every+30*time.Second).Seconds()/1800)
		if got := seen[0].Total + seen[1].Total; r.Failed || got < least || got > total*1.05 {
			t.Errorf("scraped every %s: %.0f requests were counted of about %d", every, got, total)
		}
		if seen[1].Failed < 0.8*r.CanaryFailed || seen[1].Failed > r.CanaryFailed {
			t.Errorf("scraped every %s: %g failures of the canary were counted of %g", every, seen[1].Failed, r.CanaryFailed)
		}
	}
}

// TestPhases wants pods scraped where they should be, so that a shared incident can
// show in one arm first.
func TestPhases(t *testing.T) {
	first := func(scrapes Scrapes) (at []time.Duration) {
		f := newFleet(&source{Traffic: Traffic{RequestsPerSecond: 10}, rng: rand.New(rand.NewPCG(1, 1))}, scrapedRamp(Traffic{}, scrapes))
		f.advance(t.Context(), 0, 0)
		for _, arm := range f.arms {
			for _, pod := range arm {
				at = append(at, pod.next)
			}
		}
		return at
	}
	if at := first(Scrapes{Every: 20 * time.Second, Apart: 0.25}); (at[1]-at[0]+20*time.Second)%(20*time.Second) != 5*time.Second {
		t.Errorf("the canary is scraped %s after stable, want a quarter of 20s", at[1]-at[0])
	}
	at := first(Scrapes{Every: 20 * time.Second, Random: true, Stable: 3, Canary: 2})
	if len(at) != 5 || at[0] == at[1] || at[3] == at[4] {
		t.Errorf("five pods are scraped at %v, want a phase of its own for each", at)
	}
}

// TestScrapedJudge sees that the judge finds a bad canary by its scrapes, and the
// same one for the same seed.
func TestScrapedJudge(t *testing.T) {
	spec := DefaultSpec()
	spec.Checks[0].Interval = 10 * time.Second
	sc := scrapedRamp(Traffic{RequestsPerSecond: 100, Baseline: 0.001, Canary: 0.05}, Scrapes{Every: 15 * time.Second, Random: true, Stable: 3})
	a, b := once(t, Sequential(spec), sc, 1), once(t, Sequential(spec), sc, 1)
	if a != b || !a.Failed || a.At > 4*time.Minute {
		t.Errorf("%+v and then %+v; want the same rollback within 4 minutes", a, b)
	}
	if f := newFleet(&source{rng: rand.New(rand.NewPCG(1, 1))}, sc); len(f.counters(start).Windows(sc.scraped(), observe.Trial{}, analysis.Window{Start: start, End: start.Add(sc.Interval)})) != 0 {
		t.Error("a window ended without a scrape")
	}
}
