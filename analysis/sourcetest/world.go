package sourcetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
)

// suite is what the tests of one server share.
type suite struct {
	Server
	mu       sync.Mutex
	programs map[*Program]bool
}

// scrape adds programs to those that are scraped, and takes others out.
func (s *suite) scrape(t *testing.T, add, remove []*Program) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range add {
		s.programs[p] = true
	}
	for _, p := range remove {
		delete(s.programs, p)
	}
	var targets []Target
	for p := range s.programs {
		targets = append(targets, p.target())
	}
	slices.SortFunc(targets, func(a, b Target) int { return strings.Compare(a.Address, b.Address) })
	s.Scrape(t, targets)
}

// world is one test's: its programs, and the trial that is made of them.
type world struct {
	*suite
	// name is the label trial of all of its programs.
	name     string
	programs map[string]*Program
	// before is what programs had served when the trial began.
	before   map[string]analysis.Counts
	checks   []analysis.Check
	state    analysis.State
	verdict  analysis.Verdict
	counted  map[string]*[2]analysis.Counts
	observer observe.Observer
}

func (s *suite) world(t *testing.T, name string) *world {
	t.Helper()
	w := &world{
		suite: s, name: strings.ReplaceAll(name, " ", "-"), programs: map[string]*Program{}, before: map[string]analysis.Counts{},
		counted: map[string]*[2]analysis.Counts{}, observer: observe.Observer{Source: s.Source},
	}
	w.checks = []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Interval: 2 * time.Second, Ratio: &analysis.Ratio{Total: requests, Bad: requests + `{code=~"5.."}`}},
		{Name: "slow", Kind: analysis.KindLatency, Interval: 2 * time.Second, Latency: &analysis.Latency{Histogram: classic, Bound: bound}},
	}
	if s.Native {
		w.checks = append(w.checks, analysis.Check{Name: "slow-native", Kind: analysis.KindLatency, Interval: 2 * time.Second,
			Latency: &analysis.Latency{Histogram: native, Native: true, Bound: bound}})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("served %+v, counted %s, last verdict %+v", w.served(), w.report(), w.verdict)
		}
	})
	return w
}

// start starts programs and has them scraped; their names begin with the arm.
func (w *world) start(t *testing.T, names ...string) []*Program {
	t.Helper()
	var started []*Program
	for _, name := range names {
		p := startProgram(t, name, map[string]string{"trial": w.name, "pod": name})
		w.programs[name] = p
		started = append(started, p)
	}
	w.scrape(t, started, nil)
	// A program that has ended must not be scraped: the next test may get its port.
	t.Cleanup(func() { w.scrape(t, nil, started) })
	return started
}

// trial says which series are whose.
func (w *world) trial() observe.Trial {
	arm := func(name string) string { return fmt.Sprintf("trial=%q,pod=~%q", w.name, name+"-.*") }
	return observe.Trial{
		Arms: analysis.Arms{Stable: arm("stable"), Canary: arm("canary")},
		Born: func(labels map[string]string) (time.Time, bool) {
			p, known := w.programs[labels["pod"]]
			if !known {
				return time.Time{}, false
			}
			return p.born, true
		},
	}
}

// begin begins the trial: what was served before does not count.
func (w *world) begin(t *testing.T) {
	t.Helper()
	w.shown(t, slices.Collect(maps.Values(w.programs))...)
	for name, p := range w.programs {
		_, _, w.before[name] = p.state()
	}
	// The first window begins at a boundary before now: by then all was shown.
	shown := time.Now()
	eventually(t, "a window has passed", func() (bool, string) {
		return time.Now().Truncate(2 * time.Second).After(shown), "it is " + time.Now().String()
	})
	w.state = analysis.NewState(time.Now())
}

// look looks once at each check, and adds up what is counted.
func (w *world) look(t *testing.T) analysis.Verdict {
	t.Helper()
	now := time.Now()
	var all []analysis.Observation
	for _, check := range w.checks {
		for _, o := range w.observer.Due(t.Context(), check, w.trial(), w.state, now) {
			all = append(all, o)
			if o.Absence != nil {
				continue
			}
			if w.counted[o.Check] == nil {
				w.counted[o.Check] = &[2]analysis.Counts{}
			}
			w.counted[o.Check][0].Add(*o.Stable)
			w.counted[o.Check][1].Add(*o.Canary)
		}
	}
	w.state, w.verdict = analysis.Judge(analysis.Spec{Checks: w.checks}, w.state, all, now)
	return w.verdict
}

// served is what programs served since the trial began, stable's first.
func (w *world) served() (arms [2]analysis.Counts) {
	for name, p := range w.programs {
		arm := 0
		if strings.HasPrefix(name, "canary-") {
			arm = 1
		}
		_, _, served := p.state()
		before := w.before[name]
		arms[arm].Add(analysis.Counts{Total: served.Total - before.Total, Failed: served.Failed - before.Failed})
	}
	return arms
}

// counts waits until every check has counted exactly what was served.
func (w *world) counts(t *testing.T) {
	t.Helper()
	want := w.served()
	eventually(t, "what was served is counted", func() (bool, string) {
		w.look(t)
		for _, check := range w.checks {
			got := w.counted[check.Name]
			if got == nil || got[0].Total < want[0].Total || got[1].Total < want[1].Total {
				return false, fmt.Sprintf("%s; want %+v", w.report(), want)
			}
		}
		return true, ""
	})
	w.exactly(t, want)
}

// exactly wants every check to have counted no more and no less.
func (w *world) exactly(t *testing.T, want [2]analysis.Counts) {
	t.Helper()
	for _, check := range w.checks {
		if got := w.counted[check.Name]; got == nil || *got != want {
			t.Errorf("check %s counted %+v, want %+v", check.Name, got, want)
		}
	}
}

// sums is what each check has counted.
func (w *world) sums() map[string][2]analysis.Counts {
	sums := map[string][2]analysis.Counts{}
	for name, counted := range w.counted {
		sums[name] = *counted
	}
	return sums
}

func (w *world) report() string {
	text := []string{fmt.Sprintf("%+v", w.sums())}
	for _, c := range w.state.Checks {
		if c.Absence != nil {
			text = append(text, c.Name+" has "+c.Absence.Error())
		}
	}
	return strings.Join(text, ", ")
}

// shown waits until the source gives what programs show now.
func (w *world) shown(t *testing.T, programs ...*Program) {
	t.Helper()
	for _, p := range programs {
		eventually(t, "the source gives what "+p.name+" counted", func() (bool, string) {
			want, changed, _ := p.state()
			got, at, err := newest(t, w.Source, p)
			if err != nil {
				return false, err.Error()
			}
			return at.After(changed) && maps.Equal(got, want), fmt.Sprintf("got %v of %s, want %v of after %s", got, at, want, changed)
		})
	}
}

// newest is what the source's newest samples of a program say, by code.
func newest(t *testing.T, source analysis.Source, p *Program) (byCode map[string]float64, at time.Time, err error) {
	now := time.Now()
	series, err := source.Series(t.Context(), analysis.SeriesQuery{Selector: p.selector(requests), Start: now.Add(-time.Minute), End: now})
	if err != nil {
		return nil, at, err
	}
	for _, s := range series {
		last := s.Samples[len(s.Samples)-1]
		if math.IsNaN(last.Value) {
			continue // VictoriaMetrics says so that a series has ended
		}
		if last.Time.After(at) {
			byCode, at = map[string]float64{}, last.Time
		}
		if last.Time.Equal(at) {
			byCode[s.Labels["code"]] = last.Value
		}
	}
	return byCode, at, nil
}

// eventually waits for a condition, and says what it last said where it does not
// come.
func eventually(t *testing.T, what string, condition func() (done bool, why string)) {
	t.Helper()
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		done, why := condition()
		if done {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("gave up waiting until %s: %s", what, why)
		case <-ticker.C:
		}
	}
}
