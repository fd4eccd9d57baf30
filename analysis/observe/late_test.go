package observe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

var lateBegan = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sec(seconds float64) time.Time {
	return lateBegan.Add(time.Duration(seconds * float64(time.Second)))
}

// scraped is a counter sampled at some seconds.
func scraped(seconds ...float64) analysis.Series {
	var s analysis.Series
	for i, second := range seconds {
		s.Samples = append(s.Samples, analysis.Sample{Time: sec(second), Value: float64(i)})
	}
	return s
}

func TestArrived(t *testing.T) {
	for name, tc := range map[string]struct {
		stable, canary []analysis.Series
		want           bool
	}{
		"all is there":                        {[]analysis.Series{scraped(6.5, 7.5, 8.5, 9.5)}, []analysis.Series{scraped(7.1, 8.1, 9.1)}, true},
		"both are late":                       {[]analysis.Series{scraped(5.5, 6.5, 7.5)}, []analysis.Series{scraped(5.1, 6.1, 7.1)}, false},
		"one is late by a little":             {[]analysis.Series{scraped(7.5, 8.5, 9.5)}, []analysis.Series{scraped(6.1, 7.1, 8.1)}, false},
		"the sample at the end is late":       {[]analysis.Series{scraped(7, 8, 9)}, []analysis.Series{scraped(7.1, 8.1, 9.1)}, false},
		"what comes after the end is no part": {[]analysis.Series{scraped(8, 9, 10, 11)}, []analysis.Series{scraped(7.1, 8.1, 9.1, 10.1)}, true},
		"a pod has ended":                     {[]analysis.Series{scraped(7.5, 8.5, 9.5), scraped(3, 4, 5)}, []analysis.Series{scraped(7.1, 8.1, 9.1)}, true},
		"a missed scrape is not waited for":   {[]analysis.Series{scraped(7.5, 8.5, 9.5)}, []analysis.Series{scraped(4.1, 5.1, 6.1)}, true},
		"scrapes were missed before":          {[]analysis.Series{scraped(3.5, 4.5, 7.5)}, []analysis.Series{scraped(5.1, 6.1, 7.1)}, false},
		"slow scrapes":                        {[]analysis.Series{scraped(-55, -25, 5)}, []analysis.Series{scraped(-51, -21, 9)}, true},
		"slow scrapes that are late":          {[]analysis.Series{scraped(-81, -51, -21)}, []analysis.Series{scraped(-85, -55, -25)}, false},
		"a first sample says nothing":         {[]analysis.Series{scraped(9.5)}, []analysis.Series{scraped(3)}, true},
	} {
		if got := arrived([2][]analysis.Series{tc.stable, tc.canary}, sec(10)); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestLateSamplesAreCounted shows samples three seconds after they were taken, and
// in batches: the windows of all looks sum up to what the counters say.
func TestLateSamplesAreCounted(t *testing.T) {
	source := &late{}
	counted, through, absent := looks(t, source, 10, 100, 0.7, func(now float64) { source.now = now })
	if len(absent) > 0 {
		t.Fatal(absent[0])
	}
	want := valueAt(through) - valueAt(sec(0))
	if counted.Total != want || !through.After(sec(80)) {
		t.Errorf("%g requests were counted through %s; want %g, and through the 80th second at least", counted.Total, through.Sub(sec(0)), want)
	}
}

// looks judges a trial of a ratio check by looks at a source, from one second until
// before another, each so many seconds after the one before; tell is called before
// each. It gives what the looks counted of the canary, through when, and which of
// them had no data.
func looks(t *testing.T, source analysis.Source, from, until, every float64, tell func(now float64)) (counted analysis.Counts, through time.Time, absent []error) {
	t.Helper()
	check := analysis.Check{Name: "errors", Kind: analysis.KindRatio, Interval: 2 * time.Second,
		Ratio: &analysis.Ratio{Total: "x", Bad: `x{code=~"5.."}`}}
	spec := analysis.Spec{Checks: []analysis.Check{check}}
	trial := Trial{Arms: analysis.Arms{Stable: `arm="s"`, Canary: `arm="c"`}}
	observer := Observer{Source: source}
	state := analysis.NewState(sec(0))
	for now := from; now < until; now += every {
		tell(now)
		due := observer.Due(t.Context(), check, trial, state, sec(now))
		for _, o := range due {
			if o.Absence != nil {
				absent = append(absent, fmt.Errorf("at second %g: %w", now, o.Absence))
				continue
			}
			counted.Add(*o.Canary)
		}
		state, _ = analysis.Judge(spec, state, due, sec(now))
	}
	return counted, state.Checks[0].Through, absent
}

// late is a source whose counters of both arms rise by ten a scrape, and which
// makes samples visible every 1.5 s, when they are at least three seconds old.
type late struct{ now float64 }

const lateEvery = 0.9

// valueAt is what the canary's counter is at its last scrape until then.
func valueAt(at time.Time) float64 {
	return 10 * math.Floor((at.Sub(lateBegan).Seconds()-0.4)/lateEvery)
}

func (l *late) Series(_ context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	visible := sec(math.Floor((l.now-3)/1.5) * 1.5)
	var all []analysis.Series
	for i, arm := range []string{"s", "c"} {
		s := analysis.Series{Labels: map[string]string{"__name__": "x", "arm": arm, "code": "200"}}
		for n := -200; ; n++ {
			at := sec(0.4*float64(i) + float64(n)*lateEvery)
			if at.After(visible) {
				break
			}
			// A counter is not negative.
			s.Samples = append(s.Samples, analysis.Sample{Time: at, Value: 2000 + 10*float64(n)})
		}
		all = append(all, s)
	}
	return samplesIn(q, all), nil
}

func (l *late) Value(context.Context, analysis.ValueQuery) (float64, error) {
	return 0, errors.New("no value is asked for")
}
