package sourcetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
)

// testBounds asks for windows that begin and end at samples.
func testBounds(t *testing.T, w *world) {
	p := w.start(t, "stable-1")[0]
	p.Serve(7, 0)
	all := func(from, to time.Time) (times []int64, err error) {
		series, err := w.Source.Series(t.Context(), analysis.SeriesQuery{Selector: p.selector(requests), Start: from, End: to})
		if err != nil || len(series) == 0 {
			return nil, err
		}
		if len(series) > 1 {
			t.Fatalf("one series was asked for, got %d: %v", len(series), series)
		}
		for _, sample := range series[0].Samples {
			times = append(times, sample.Time.UnixMilli())
		}
		return times, nil
	}
	var seen []int64
	eventually(t, "a few samples are there", func() (bool, string) {
		var err error
		now := time.Now()
		seen, err = all(now.Add(-time.Minute), now)
		return len(seen) >= 6, fmt.Sprintf("%d samples, %v", len(seen), err)
	})
	for _, cut := range []struct{ from, to int }{{0, 2}, {2, 5}, {4, 5}} {
		got, err := all(time.UnixMilli(seen[cut.from]), time.UnixMilli(seen[cut.to]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(seen[cut.from+1:cut.to+1], got); diff != "" {
			t.Errorf("from sample %d to sample %d (-want +got):\n%s", cut.from, cut.to, diff)
		}
	}
	if got, err := all(time.UnixMilli(seen[1]), time.UnixMilli(seen[2]-1)); err != nil || len(got) != 0 {
		t.Errorf("between two samples there are %v, %v", got, err)
	}
}

// testFresh wants an expression to see the samples that a selector sees.
func testFresh(t *testing.T, w *world) {
	p := w.start(t, "stable-1")[0]
	for _, n := range []int{7, 5, 3} {
		p.Serve(n, 1)
		w.shown(t, p)
		_, at, err := newest(t, w.Source, p)
		if err != nil {
			t.Fatal(err)
		}
		_, _, served := p.state()
		for name, when := range map[string]time.Time{"of its sample": at, "that it is now": time.Now()} {
			got, err := w.Source.Value(t.Context(), analysis.ValueQuery{Expression: "sum(" + p.selector(requests) + ")", At: when})
			if err != nil || got != served.Total {
				t.Errorf("at the time %s the number is %v, %v; want %v", name, got, err, served.Total)
			}
		}
	}
}

// testAbsences wants nothing told from something wrong.
func testAbsences(t *testing.T, w *world) {
	p := w.start(t, "stable-1")[0]
	p.Serve(2, 1)
	w.shown(t, p)
	for _, tc := range []struct {
		name, query string
		kind        analysis.AbsenceKind
		says        string
	}{
		{"nothing matches", `sum(nothing_of_this_name)`, analysis.NoData, "gave nothing"},
		{"an expression does not parse", `sum(`, analysis.BadQuery, ""},
		{"a function does not exist", `summe(` + p.selector(requests) + `)`, analysis.BadQuery, "summe"},
		{"many series for one number", p.selector(requests), analysis.BadQuery, "gave 2 series; aggregate them to one number"},
		{"series that cannot be matched", p.selector(requests) + ` * on(pod) ` + p.selector(requests), analysis.BadQuery, ""},
	} {
		_, err := w.Source.Value(t.Context(), analysis.ValueQuery{Expression: tc.query, At: time.Now()})
		wantAbsence(t, tc.name, err, tc.kind, tc.says)
	}
	_, err := w.Source.Series(t.Context(), analysis.SeriesQuery{Selector: requests + `{pod=`, Start: time.Now().Add(-time.Minute), End: time.Now()})
	wantAbsence(t, "a selector does not parse", err, analysis.BadQuery, "")
	series, err := w.Source.Series(t.Context(), analysis.SeriesQuery{Selector: `{__name__="nothing_of_this_name"}`, Start: time.Now().Add(-time.Minute), End: time.Now()})
	if err != nil || len(series) != 0 {
		t.Errorf("a selector without series gave %v, %v; want nothing", series, err)
	}
	check := analysis.Check{Name: "none", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "vector(0) / vector(0)"}}
	if o := w.observer.Window(t.Context(), check, w.trial(), analysis.Window{Start: time.Now(), End: time.Now()}); o.Absence == nil || o.Absence.Kind != analysis.NoData {
		t.Errorf("a number that is none gave %+v, want %s", o, analysis.NoData)
	}
}

// wantAbsence wants an error of a kind that says something.
func wantAbsence(t *testing.T, name string, err error, kind analysis.AbsenceKind, says string) {
	t.Helper()
	var absence *analysis.Absence
	if !errors.As(err, &absence) {
		t.Errorf("%s: error is %v, want an Absence", name, err)
		return
	}
	t.Logf("%s: %v", name, absence)
	if absence.Kind != kind || !strings.Contains(absence.Message, says) {
		t.Errorf("%s: got %v; want %s with %q", name, absence, kind, says)
	}
}

// testRefused asks a Source that gets no answer what another one is answered.
func testRefused(t *testing.T, w *world, refusal Refusal) {
	programs := w.start(t, "stable-1", "canary-1")
	w.shown(t, programs...)
	wantRefusal(t, w, refusal)
}

// wantRefusal wants a check to say what a refusal says, by and by.
func wantRefusal(t *testing.T, w *world, refusal Refusal) {
	t.Helper()
	var last *analysis.Absence
	observer := w.observer
	observer.Source = refusal.Source
	eventually(t, refusal.Name+" is told", func() (bool, string) {
		now := time.Now()
		last = observer.Window(t.Context(), w.checks[0], w.trial(), analysis.Window{Start: now.Add(-30 * time.Second), End: now}).Absence
		return last != nil && last.Kind == refusal.Kind, fmt.Sprintf("got %v, want %s", last, refusal.Kind)
	})
	wantAbsence(t, refusal.Name, last, refusal.Kind, refusal.Says)
}

// testPartial takes a part of the server away in the middle of a trial: the
// trial is held, nothing is counted, and all of it is once the part is back.
func testPartial(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "canary-1")
	serve := func() {
		programs[0].Serve(50, 1)
		programs[1].Serve(5, 0)
	}
	serve()
	w.begin(t)
	serve()
	w.counts(t)
	w.Away(t)
	for _, refusal := range w.Partial {
		wantRefusal(t, w, refusal)
	}
	held := func() bool {
		serve()
		v := w.look(t)
		if v.Outcome == analysis.Fail {
			t.Fatalf("the canary failed: %+v", v)
		}
		return v.Outcome == analysis.Inconclusive && (v.Reason == analysis.ReasonPartialData || v.Reason == analysis.ReasonSourceOutage)
	}
	eventually(t, "the trial is held", func() (bool, string) { return held(), w.report() })
	before, looks := w.sums(), 0
	eventually(t, "it was looked at for a while", func() (bool, string) {
		if !held() {
			t.Fatalf("while a part was away: %+v", w.verdict)
		}
		looks++
		return looks == 20, ""
	})
	t.Logf("while a part was away: %s: %s", w.verdict.Reason, w.verdict.Message)
	if diff := cmp.Diff(before, w.sums()); diff != "" {
		t.Errorf("of partial answers something was counted (-before +after):\n%s", diff)
	}
	w.Back(t)
	eventually(t, "the trial goes on", func() (bool, string) {
		serve()
		return w.look(t).Outcome == analysis.Pass, fmt.Sprint(w.verdict)
	})
	w.counts(t)
}

// testOutage stops the server in the middle of a trial and starts it again: the
// trial freezes, never fails, goes on, and has lost and doubled nothing.
func testOutage(t *testing.T, w *world) {
	programs := w.start(t, "stable-1", "canary-1")
	serve := func() {
		programs[0].Serve(50, 1)
		programs[1].Serve(5, 0)
	}
	serve()
	w.begin(t)
	look := func() analysis.Verdict {
		serve()
		v := w.look(t)
		if v.Outcome == analysis.Fail {
			t.Fatalf("the canary failed: %+v", v)
		}
		return v
	}
	eventually(t, "the checks pass", func() (bool, string) { return look().Outcome == analysis.Pass, fmt.Sprint(w.verdict) })
	w.Stop(t)
	eventually(t, "the outage freezes the clock", func() (bool, string) {
		v := look()
		return v.Freeze && v.Outcome == analysis.Inconclusive && v.Reason == analysis.ReasonSourceOutage, fmt.Sprint(v)
	})
	t.Logf("while it was away: %s", w.verdict.Message)
	w.Start(t)
	eventually(t, "the checks pass again", func() (bool, string) {
		v := look()
		return v.Outcome == analysis.Pass && !v.Freeze, fmt.Sprint(v)
	})
	w.counts(t)
}
