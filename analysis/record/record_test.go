package record_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/analysis/usage"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func spec() analysis.Spec {
	return analysis.Spec{Checks: []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "a", Bad: "b", Comparison: analysis.Comparison{Objective: 0.01}}},
		{Name: "http", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80}},
		{Name: "use", Kind: analysis.KindResources, Resources: &analysis.Resources{CPU: &usage.Bound{Series: "c"}, Memory: &usage.Bound{Series: "m"}}},
		{Name: "gate", Kind: analysis.KindWebhook, Webhook: &analysis.Webhook{URL: "http://gate", Failing: 3, Of: 5}},
	}}
}

// look k is a random one of both checks, now and then without data or without sense.
func look(rng *rand.Rand, k int) ([]analysis.Observation, time.Time) {
	end := began.Add(time.Duration(k+1) * 2 * time.Second)
	now := end.Add(123 * time.Nanosecond)
	errors := analysis.Observation{Check: "errors", Window: analysis.Window{Start: end.Add(-2 * time.Second), End: end},
		Stable: &analysis.Counts{Total: 50, Failed: float64(rng.IntN(2))}, Canary: &analysis.Counts{Total: 10, Failed: float64(rng.IntN(8) / 7)}}
	switch rng.IntN(8) {
	case 0:
		errors.Absence = &analysis.Absence{Kind: analysis.Outage, Message: "test"}
	case 1:
		errors.Stable.Total = math.NaN()
	}
	http := analysis.Observation{Check: "http", Window: analysis.Window{Start: now, End: now},
		Probes: []analysis.ProbeResult{{Pod: "a", Pass: rng.IntN(6) > 0, Message: "status"}}}
	use := analysis.Observation{Check: "use", Window: errors.Window, Usage: &usage.Seen{
		CPU: &usage.Medians{Canary: rng.Float64(), Stable: rng.Float64()}, Memory: &usage.Medians{Canary: rng.Float64() * 1e9, Stable: 1e9 / 3}}}
	gate := analysis.Observation{Check: "gate", Window: http.Window, Answer: &analysis.Answer{Pass: rng.IntN(5) > 0, Status: 200, Message: "as it is"}}
	switch rng.IntN(8) {
	case 0:
		use.Usage.Memory.Canary = math.NaN()
		gate.Answer, gate.Absence = nil, &analysis.Absence{Kind: analysis.Pending, Message: "soon"}
	case 1:
		use.Usage, use.Absence = nil, &analysis.Absence{Kind: analysis.NoSeries, Message: "no stable"}
	}
	return []analysis.Observation{errors, http, use, gate}, now
}

// TestRejudge records random trials, across restarts of the recorder, and
// wants the same state and verdict out of the record.
func TestRejudge(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		state := analysis.Learn(analysis.NewState(began), "errors", []analysis.Counts{{Total: 300, Failed: 2}, {Total: 300}})
		rec, err := record.New(spec(), state)
		if err != nil {
			t.Fatal(err)
		}
		var verdict analysis.Verdict
		for k := range 30 {
			observations, now := look(rng, k)
			if err := rec.Look(state, observations, now); err != nil {
				t.Fatal(err)
			}
			state, verdict = analysis.Judge(spec(), state, observations, now)
			if k == 15 {
				state = analysis.BeginStep(state, now)
				if err := rec.BeginStep(now); err != nil {
					t.Fatal(err)
				}
				if rec, err = record.Parse(rec.String()); err != nil {
					t.Fatal(err)
				}
			}
		}
		again, err := record.Rejudge(rec.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{text(t, state), text(t, verdict)}, []string{text(t, again.State), text(t, again.Verdict)}); diff != "" {
			t.Fatalf("seed %d: rejudged otherwise (-judged +rejudged):\n%s", seed, diff)
		}
	}
}

// TestRejudgeKeepsAllOfRatios records failures that have no series yet, which keeps
// a canary from being proven good.
func TestRejudgeKeepsAllOfRatios(t *testing.T) {
	for name, change := range map[string]func(*analysis.Observation){
		"as they are": func(*analysis.Observation) {},
		"unseen":      func(o *analysis.Observation) { o.Unseen = true },
	} {
		t.Run(name, func(t *testing.T) {
			state := analysis.NewState(began)
			rec, err := record.New(spec(), state)
			if err != nil {
				t.Fatal(err)
			}
			for k := range 3 {
				end := began.Add(time.Duration(k+1) * 2 * time.Second)
				o := analysis.Observation{Check: "errors", Window: analysis.Window{Start: end.Add(-2 * time.Second), End: end},
					Stable: &analysis.Counts{Total: 50}, Canary: &analysis.Counts{Total: 10, Failed: 1}}
				change(&o)
				if err := rec.Look(state, []analysis.Observation{o}, end); err != nil {
					t.Fatal(err)
				}
				state, _ = analysis.Judge(spec(), state, []analysis.Observation{o}, end)
			}
			again, err := record.Rejudge(rec.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text(t, state), text(t, again.State)); diff != "" {
				t.Errorf("rejudged otherwise (-judged +rejudged):\n%s", diff)
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// TestSerialRecordIsBounded records half a day of looks, across restarts, far beyond the
// room there is, and wants the newest kept, and judged again to the same state at
// any time.
func TestSerialRecordIsBounded(t *testing.T) {
	state := analysis.NewState(began)
	rec, err := record.New(spec(), state)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var verdict analysis.Verdict
	largest, fewest := 0, 1<<30
	for k := range 21_600 {
		observations, now := look(rng, k)
		if err := rec.Look(state, observations, now); err != nil {
			t.Fatal(err)
		}
		state, verdict = analysis.Judge(spec(), state, observations, now)
		if k%4_000 != 3_999 {
			continue
		}
		packed := rec.String()
		largest = max(largest, len(packed))
		again, err := record.Rejudge(packed)
		if err != nil || again.Full {
			t.Fatalf("look %d: full %v, %v", k, again.Full, err)
		}
		if diff := cmp.Diff([]string{text(t, state), text(t, verdict)}, []string{text(t, again.State), text(t, again.Verdict)}); diff != "" {
			t.Fatalf("look %d: rejudged otherwise (-judged +rejudged):\n%s", k, diff)
		}
		if rec, err = record.Parse(packed); err != nil {
			t.Fatal(err)
		}
		fewest = min(fewest, strings.Count(unpacked(t, rec), "\n"))
	}
	if first, _, _ := strings.Cut(unpacked(t, rec), "\n"); !strings.Contains(first, `"through"`) {
		t.Error("the record still begins with the trial: the oldest looks are to go")
	}
	if largest > record.MaxBytes+1<<10 || largest < record.MaxBytes/2 || fewest < 1000 {
		t.Errorf("records of up to %d bytes and at least %d looks", largest, fewest)
	}
}

// TestLongTrial wants two hours of looks every two seconds kept, across restarts.
func TestLongTrial(t *testing.T) {
	state := analysis.NewState(began)
	rec, err := record.New(spec(), state)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for k := range 3600 {
		observations, now := look(rng, k)
		if err := rec.Look(state, observations, now); err != nil {
			t.Fatal(err)
		}
		state, _ = analysis.Judge(spec(), state, observations, now)
		if k%900 == 899 {
			if rec, err = record.Parse(rec.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := record.Rejudge(rec.String())
	if err != nil || again.Full || text(t, again.State) != text(t, state) {
		t.Errorf("%d bytes, full %v, same state %v, %v", len(rec.String()), again.Full, text(t, again.State) == text(t, state), err)
	}
}

func TestPack(t *testing.T) {
	for _, want := range []string{"", "{}", "{" + strings.Repeat(`"a":1,`, 1000) + "}"} {
		if got, err := record.Unpack(record.Pack(want)); err != nil || got != want {
			t.Errorf("%.20q: got %.20q, %v", want, got, err)
		}
	}
}

func unpacked(t *testing.T, r record.Record) string {
	t.Helper()
	text, err := record.Unpack(r.String())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBrokenRecords(t *testing.T) {
	rec, err := record.New(spec(), analysis.NewState(began))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, want string }{
		{"", "empty"},
		{"{", "line 1"},
		{`{"version":99}`, "version 99"},
		{unpacked(t, rec) + `{"t":1,"o":[{"c":7,"e":1}]}`, "no check number 7"},
		{unpacked(t, rec) + `nonsense`, "line 2"},
		{rec.String()[1:], "base64"},
		{rec.String() + rec.String()[:20], "base64"},
		{record.Pack("{}")[:12], "unpack"},
	} {
		if _, err := record.Rejudge(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %q", tc.text, err, tc.want)
		}
	}
}
