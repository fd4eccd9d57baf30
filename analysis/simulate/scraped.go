package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
)

// Scrapes are how a source comes by its samples. Counts then come through the
// windows of package observe, as they do in the controller: two targets are not
// scraped in the same instant, so that an incident of both shows in one first.
type Scrapes struct {
	// Every is the time between two scrapes of a pod; 0 means that traffic is
	// counted as it happens, in windows of the scenario's interval.
	Every time.Duration
	// Apart is by which part of Every, 0 to 1, all pods of the canary are scraped
	// after all of stable's. Where Random is true each pod of either has a seeded
	// phase of its own instead.
	Apart  float64
	Random bool
	// Stable and Canary are the numbers of pods; 0 means one.
	Stable, Canary int
}

// tick is the resolution of traffic that is scraped: a whole part of the time
// between two looks.
func (sc Scenario) tick() time.Duration {
	most := max(1, min(time.Second, sc.Scrapes.Every/4))
	return sc.Interval / ((sc.Interval + most - 1) / most)
}

// scraped is the check that windows are cut for: what it counts as failed is what
// the traffic says.
func (sc Scenario) scraped() analysis.Check {
	return analysis.Check{Name: "scraped", Kind: analysis.KindRatio, Interval: sc.Interval, Ratio: &analysis.Ratio{Total: "requests", Bad: "failures"}}
}

// target is one pod and what was scraped of it.
type target struct {
	// next is the age of the trial at which it is scraped next.
	next          time.Duration
	counted       analysis.Counts
	total, failed analysis.Series
}

// fleet is all pods of both arms, stable's first, and the source's traffic.
type fleet struct {
	source *source
	sc     Scenario
	arms   [2][]target
	age    time.Duration
}

func newFleet(src *source, sc Scenario) *fleet {
	f := &fleet{source: src, sc: sc, age: -sc.Past.Truncate(sc.Interval)}
	for arm, pods := range []int{max(1, sc.Scrapes.Stable), max(1, sc.Scrapes.Canary)} {
		for pod := range pods {
			t := target{next: f.age}
			switch {
			case sc.Scrapes.Random:
				t.next += time.Duration(src.rng.Int64N(int64(sc.Scrapes.Every)))
			case arm == 1:
				t.next += time.Duration(sc.Scrapes.Apart * float64(sc.Scrapes.Every))
			}
			name := fmt.Sprintf("web-%d-%d", arm, pod)
			t.total.Labels = map[string]string{"__name__": "requests", "pod": name}
			t.failed.Labels = map[string]string{"__name__": "failures", "pod": name}
			f.arms[arm] = append(f.arms[arm], t)
		}
	}
	return f
}

// advance serves traffic until an age of the trial, or the end of the context,
// with the canary's share of it, and gives what the canary failed.
func (f *fleet) advance(ctx context.Context, until time.Duration, share float64) (failed float64) {
	tick := f.sc.tick()
	for f.age < until && ctx.Err() == nil {
		load, stable, canary, extra := f.source.rates(f.age, tick)
		f.age += tick
		for arm, mean := range []float64{load * (1 - share), load * share} {
			rate := []float64{stable, canary}[arm]
			for i := range f.arms[arm] {
				served := f.source.arm(mean/float64(len(f.arms[arm])), rate, extra)
				f.arms[arm][i].serve(served, f.age, f.sc.Scrapes.Every)
				if arm == 1 {
					failed += served.Failed
				}
			}
		}
	}
	return failed
}

// serve adds requests, and a sample where the pod is scraped now.
func (t *target) serve(served analysis.Counts, age, every time.Duration) {
	t.counted.Add(served)
	if age < t.next {
		return
	}
	t.next += every
	at := start.Add(age)
	t.total.Samples = append(t.total.Samples, analysis.Sample{Time: at, Value: t.counted.Total})
	t.failed.Samples = append(t.failed.Samples, analysis.Sample{Time: at, Value: t.counted.Failed})
}

// counters are the samples later than an instant.
func (f *fleet) counters(after time.Time) observe.Counters {
	var c observe.Counters
	for arm := range f.arms {
		for _, t := range f.arms[arm] {
			from := len(t.total.Samples)
			for from > 0 && t.total.Samples[from-1].Time.After(after) {
				from--
			}
			c.Total[arm] = append(c.Total[arm], analysis.Series{Labels: t.total.Labels, Samples: t.total.Samples[from:]})
			c.Part[arm] = append(c.Part[arm], analysis.Series{Labels: t.failed.Labels, Samples: t.failed.Samples[from:]})
		}
	}
	return c
}

// Waiter is a Judge that is told of looks at which there may be no new window.
type Waiter interface{ Wait(now time.Time) }

// onceScraped simulates one rollout whose traffic is scraped.
func onceScraped(ctx context.Context, newJudge NewJudge, sc Scenario, seed uint64) (Result, error) {
	f := newFleet(&source{Traffic: sc.Traffic, rng: rand.New(rand.NewPCG(seed, 0x5c7a))}, sc) //nolint:gosec // reproducible on purpose
	f.advance(ctx, 0, 0)
	check := sc.scraped()
	judge := newJudge(f.counters(time.Time{}).Past(check, observe.Trial{}, start.Add(-sc.Past), start))
	c := course{sc: sc, judge: judge}
	for through := start; ctx.Err() == nil; {
		canaryFailed := f.advance(ctx, c.age+sc.Interval, c.weight()/100)
		now := start.Add(f.age)
		var failed, proven bool
		for _, o := range f.counters(through.Add(-observe.Lookback)).Windows(check, observe.Trial{}, analysis.Window{Start: through, End: now}) {
			if o.Absence != nil {
				break
			}
			through = o.Window.End
			bad, good := judge.Look(o)
			failed, proven = failed || bad, good
		}
		if w, ok := judge.(Waiter); ok && !failed {
			w.Wait(now)
		}
		if c.look(canaryFailed, failed, proven) {
			return c.result, nil
		}
	}
	return Result{}, ctx.Err()
}
