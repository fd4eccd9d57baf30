package faults

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSerialFaultsCauseNothing runs each kind of fault, with others beside it.
func TestSerialFaultsCauseNothing(t *testing.T) {
	results, err := Runs(t.Context(), 3*len(Kinds))
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, r := range results {
		wantNothing(t, r)
		held += r.Held
	}
	if held == 0 {
		t.Error("no fault cost a single look: they do not reach the judge")
	}
}

// TestTrialsSideBySide runs some of what TestSerialFaultsCauseNothing runs, for the race
// detector: trials at once that share a server.
func TestTrialsSideBySide(t *testing.T) {
	results, err := Runs(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		wantNothing(t, r)
	}
}

// wantNothing wants a run's faults to have caused nothing.
func wantNothing(t *testing.T, r Result) {
	t.Helper()
	if r.Rollback+r.Promotion+r.Invented != "" {
		t.Errorf("seed %d: %s %s %s (%s)", r.Seed, r.Rollback, r.Promotion, r.Invented, r.Schedule)
	}
}

// TestCauses wants the comparison of a run with its twin to see what faults do.
func TestCauses(t *testing.T) {
	minutes := func(n ...int) (all []time.Duration) {
		for _, m := range n {
			all = append(all, time.Duration(m)*time.Minute)
		}
		return all
	}
	for name, tc := range map[string]struct {
		twin, faulty        course
		rollback, promotion bool
	}{
		"nothing":                         {course{advanced: minutes(1, 2, 3)}, course{advanced: minutes(1, 2, 3)}, false, false},
		"held":                            {course{advanced: minutes(1, 2, 3)}, course{advanced: minutes(1, 4)}, false, false},
		"rolled back":                     {course{advanced: minutes(1, 2, 3)}, course{advanced: minutes(1), failed: time.Minute}, true, false},
		"rolled back later":               {course{failed: time.Minute}, course{failed: 2 * time.Minute}, false, false},
		"went on where its twin did not":  {course{advanced: minutes(1)}, course{advanced: minutes(1, 2)}, false, true},
		"went on as its twin could have":  {course{advanced: minutes(1), passed: minutes(2)}, course{advanced: minutes(1, 2)}, false, false},
		"went on long before its twin":    {course{advanced: minutes(1, 5)}, course{advanced: minutes(1, 2)}, false, true},
		"went on after the twin's failed": {course{failed: time.Minute}, course{advanced: minutes(2)}, false, true},
	} {
		r := compare(1, nil, tc.twin, tc.faulty)
		if (r.Rollback != "") != tc.rollback || (r.Promotion != "") != tc.promotion {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestDoubtThatCameLate is a step that ends on data 17 s old, of which its twin
// came to doubt within them.
func TestDoubtThatCameLate(t *testing.T) {
	lab := NewLab()
	defer lab.Close()
	r, err := lab.Run(t.Context(), 1402)
	if err != nil {
		t.Fatal(err)
	}
	wantNothing(t, r)
}

// FuzzSerialSchedule looks for faults that cause anything.
func FuzzSerialSchedule(f *testing.F) {
	// TestSerialFaultsCauseNothing has begun with every kind.
	for i := range 3 {
		f.Add(uint64(i), uint64(i), byte(5*i))
	}
	lab := NewLab()
	f.Cleanup(lab.Close)
	f.Fuzz(func(t *testing.T, seed, faults uint64, kind byte) {
		first := Kinds[int(kind)%len(Kinds)]
		schedule := NewSchedule(rand.New(rand.NewPCG(faults, 7)), first, 4*time.Minute)
		r, err := lab.RunSchedule(t.Context(), seed, schedule)
		if err != nil {
			t.Fatal(err)
		}
		wantNothing(t, r)
	})
}
