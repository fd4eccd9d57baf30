package sourcetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// testCount serves known requests, and wants neither more nor fewer counted, in
// windows as they come, in the past, and after everything has come to rest.
func testCount(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "stable-2", "canary-1")
	// What stood before the trial must not be counted.
	programs[0].Serve(1000, 10)
	w.begin(t)
	for round := range 20 {
		programs[0].Serve(50, round%2)
		programs[1].Serve(30, 0)
		programs[2].Serve(5, round%3/2)
		w.look(t)
	}
	w.counts(t)
	served := w.served()
	for i, check := range w.checks {
		past, err := w.observer.Past(t.Context(), check, w.trial(), w.state.Started.Add(-10*time.Second), w.state.Checks[i].Through)
		var sum analysis.Counts
		for _, c := range past {
			sum.Add(c)
		}
		if err != nil || sum != served[0] {
			t.Errorf("the past of check %s counts %+v, %v; want %+v", check.Name, sum, err, served[0])
		}
	}
	w.idle(t)
}

// idle wants a window after the counters stood still to be counted, as nothing.
func (w *world) idle(t *testing.T) {
	t.Helper()
	for i, check := range w.checks {
		eventually(t, "a window without a request is counted", func() (bool, string) {
			o := w.observer.Window(t.Context(), check, w.trial(), analysis.Window{Start: w.state.Checks[i].Through, End: time.Now()})
			if o.Absence != nil {
				return false, o.Absence.Error()
			}
			if nothing := (analysis.Counts{}); *o.Stable != nothing || *o.Canary != nothing {
				t.Errorf("an idle window of check %s counts %+v and %+v", check.Name, *o.Stable, *o.Canary)
			}
			return true, ""
		})
	}
}

// testReset has programs of both arms begin again.
func testReset(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "canary-1")
	stable, canary := programs[0], programs[1]
	stable.Serve(300, 3)
	canary.Serve(60, 2)
	w.begin(t)
	for _, p := range []*Program{canary, stable, canary} {
		// More than after the restart, of each code: else no fall can be seen.
		stable.Serve(40, 2)
		canary.Serve(20, 2)
		w.shown(t, stable, canary)
		p.Restart()
		p.Serve(7, 1)
		w.shown(t, p)
		w.look(t)
	}
	w.counts(t)
}

// testChurn replaces the programs of both arms.
func testChurn(t *testing.T, w *world) {
	first := w.start(t, "stable-1", "canary-1")
	first[0].Serve(100, 1)
	first[1].Serve(10, 0)
	w.begin(t)
	first[0].Serve(30, 1)
	first[1].Serve(12, 1)
	w.shown(t, first...)
	w.look(t)
	second := w.start(t, "stable-2", "canary-2")
	second[0].Serve(41, 2)
	second[1].Serve(17, 0)
	w.shown(t, second...)
	w.scrape(t, nil, first)
	second[0].Serve(25, 0)
	second[1].Serve(9, 1)
	w.shown(t, second...)
	w.look(t)
	third := w.start(t, "canary-3")
	third[0].Serve(11, 0)
	w.counts(t)
}

// testMissed fails the scrapes of one program while it goes on serving.
func testMissed(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "canary-1")
	stable, canary := programs[0], programs[1]
	stable.Serve(100, 1)
	canary.Serve(10, 0)
	w.begin(t)
	canary.Serve(10, 1)
	w.shown(t, canary)
	w.miss(t, canary, stable, func() {
		stable.Serve(10, 0)
		canary.Serve(3, 0)
		w.look(t)
	})
	w.counts(t)
}

// miss hides a program until another one was scraped some times without it.
func (w *world) miss(t *testing.T, hidden, other *Program, meanwhile func()) {
	t.Helper()
	hidden.Hide(true)
	eventually(t, hidden.name+" has missed scrapes", func() (bool, string) {
		meanwhile()
		_, last, err := newest(t, w.Source, hidden)
		_, now, otherErr := newest(t, w.Source, other)
		if err != nil || otherErr != nil {
			return false, fmt.Sprint(err, otherErr)
		}
		return now.Sub(last) > 5*time.Second, fmt.Sprintf("last scraped at %s, the other at %s", last, now)
	})
	hidden.Hide(false)
}

// testLoad serves all the time, while scrapes are missed and programs come, go
// and begin again. Only what a program served between its last scrape and its end
// may be lost: nobody can know of it.
func testLoad(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "stable-2", "canary-1", "canary-2")
	for _, p := range programs {
		p.Serve(500, 5)
	}
	w.begin(t)
	load := startLoad(t, programs...)
	w.until(t, 100)
	w.miss(t, programs[2], programs[0], func() { w.look(t) })

	restarted := programs[3]
	known, _, err := newest(t, w.Source, restarted)
	if err != nil {
		t.Fatal(err)
	}
	load.remove(restarted)
	shown, _, _ := restarted.state()
	lost := analysis.Counts{Total: shown["200"] + shown["500"] - known["200"] - known["500"], Failed: shown["500"] - known["500"]}
	restarted.Restart()
	load.add(restarted)

	load.add(w.start(t, "stable-3")...)
	load.remove(programs[1])
	w.shown(t, programs[1])
	w.scrape(t, nil, programs[1:2])
	w.until(t, w.counted["errors"][1].Total+200)
	load.stop()
	w.bounded(t, lost)
}

// until looks until so many requests of the canary were counted.
func (w *world) until(t *testing.T, requests float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%g requests of the canary are counted", requests), func() (bool, string) {
		w.look(t)
		got := w.counted["errors"]
		return got != nil && got[1].Total >= requests, w.report()
	})
}

// bounded waits until all is counted but at most what the canary lost.
func (w *world) bounded(t *testing.T, lost analysis.Counts) {
	t.Helper()
	want := w.served()
	least := want
	least[1].Total, least[1].Failed = want[1].Total-lost.Total, want[1].Failed-lost.Failed
	t.Logf("served %+v, of which the canary's last %+v may be lost", want, lost)
	eventually(t, "all is counted that can be known", func() (bool, string) {
		w.look(t)
		for _, check := range w.checks {
			if got := w.counted[check.Name]; got[0].Total < least[0].Total || got[1].Total < least[1].Total {
				return false, fmt.Sprintf("%s; want at least %+v", w.report(), least)
			}
		}
		return true, ""
	})
	for _, check := range w.checks {
		for arm, got := range w.counted[check.Name] {
			if got.Total > want[arm].Total || got.Failed > want[arm].Failed || got.Failed < least[arm].Failed {
				t.Errorf("check %s counted %+v of arm %d, want from %+v to %+v", check.Name, got, arm, least[arm], want[arm])
			}
		}
	}
}

// load serves at some programs all the time.
type load struct {
	mu       sync.Mutex
	programs map[*Program]bool
	ended    chan struct{}
	group    sync.WaitGroup
	stop     func()
}

func startLoad(t *testing.T, programs ...*Program) *load {
	l := &load{programs: map[*Program]bool{}, ended: make(chan struct{})}
	l.stop = sync.OnceFunc(func() {
		close(l.ended)
		l.group.Wait()
	})
	l.add(programs...)
	l.group.Go(l.run)
	t.Cleanup(l.stop)
	return l
}

func (l *load) run() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for round := 0; ; round++ {
		select {
		case <-l.ended:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		for p := range l.programs {
			p.Serve(2+round%3, round%10/9)
		}
		l.mu.Unlock()
	}
}

func (l *load) add(programs ...*Program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range programs {
		l.programs[p] = true
	}
}

// remove serves no more at a program once it has returned.
func (l *load) remove(p *Program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.programs, p)
}
