package analysis_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// TestRejudge records random trials, across restarts of the recorder, and
// wants the same state and verdict out of the record.
func TestRejudge(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		spec := ratioSpec(0.01)
		spec.Checks = append(spec.Checks, analysis.Check{Name: "http", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80}})
		state := analysis.Learn(analysis.NewState(began), "errors", []analysis.Counts{{Total: 300, Failed: 2}, {Total: 300}})
		record, err := analysis.NewRecord(spec, state)
		if err != nil {
			t.Fatal(err)
		}
		var verdict analysis.Verdict
		for k, o := range randomLooks(rng, 30) {
			now := o.Window.End.Add(123 * time.Nanosecond)
			probe := analysis.Observation{Check: "http", Window: analysis.Window{Start: now, End: now},
				Probes: []analysis.ProbeResult{{Pod: "a", Pass: rng.IntN(6) > 0, Message: "status"}}}
			state, verdict = analysis.Judge(spec, state, []analysis.Observation{o, probe}, now)
			if err := record.Look([]analysis.Observation{o, probe}, now); err != nil {
				t.Fatal(err)
			}
			if k == 15 {
				state = analysis.BeginStep(state, now)
				if err := record.BeginStep(now); err != nil {
					t.Fatal(err)
				}
				if record, err = analysis.ParseRecord(record.String()); err != nil {
					t.Fatal(err)
				}
			}
		}
		again, err := analysis.Rejudge(record.String())
		if err != nil {
			t.Fatal(err)
		}
		want, err := roundTrip(state)
		if err != nil {
			t.Fatal(err)
		}
		same(t, seed, "rejudged", []any{want, verdict}, []any{again.State, again.Verdict})
	}
}

func TestRecordIsBounded(t *testing.T) {
	record, err := analysis.NewRecord(ratioSpec(0), analysis.NewState(began))
	if err != nil {
		t.Fatal(err)
	}
	for k := range 12000 {
		o := counts(k, 100, 0, 10, 0)
		if err := record.Look([]analysis.Observation{o}, o.Window.End); err != nil {
			t.Fatal(err)
		}
	}
	again, err := analysis.Rejudge(record.String())
	if err != nil || !record.Full() || !again.Full || len(record.String()) > analysis.MaxRecord+100 {
		t.Errorf("12,000 looks: %d bytes, full %v, rejudged full %v, %v", len(record.String()), record.Full(), again.Full, err)
	}
}

func TestBrokenRecords(t *testing.T) {
	record, err := analysis.NewRecord(ratioSpec(0), analysis.NewState(began))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, want string }{
		{"", "empty"},
		{"{", "line 1"},
		{`{"version":99}`, "version 99"},
		{record.String() + `{"t":1,"o":[{"c":7,"e":1}]}`, "no check number 7"},
		{record.String() + `nonsense`, "line 2"},
	} {
		if _, err := analysis.Rejudge(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %q", tc.text, err, tc.want)
		}
	}
}
