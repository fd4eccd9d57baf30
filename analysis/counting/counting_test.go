package counting_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

// counter makes a series of a pod from pairs of second and value.
func counter(pod, code string, pairs ...float64) analysis.Series {
	s := analysis.Series{Labels: map[string]string{"pod": pod, "code": code}}
	for i := 0; i < len(pairs); i += 2 {
		s.Samples = append(s.Samples, analysis.Sample{Time: at(pairs[i]), Value: pairs[i+1]})
	}
	return s
}

func TestRequests(t *testing.T) {
	w := analysis.Window{Start: at(10), End: at(20)}
	born := func(started float64) counting.Born {
		return func(map[string]string) (time.Time, bool) { return at(started), true }
	}
	steady := counter("s", "200", 5, 100, 15, 110)
	for _, tc := range []struct {
		name   string
		canary []analysis.Series
		failed []analysis.Series
		born   counting.Born
		want   analysis.Counts
	}{
		{name: "rises", canary: []analysis.Series{counter("c", "200", 8, 5, 12, 7, 20, 9, 22, 50)}, want: analysis.Counts{Total: 4}},
		{name: "missed scrapes", canary: []analysis.Series{counter("c", "200", 2, 5, 19, 25)}, want: analysis.Counts{Total: 20}},
		{name: "reset", canary: []analysis.Series{counter("c", "200", 8, 100, 12, 102, 16, 3, 19, 4)}, want: analysis.Counts{Total: 6}},
		{name: "reset that is not confirmed yet", canary: []analysis.Series{counter("c", "200", 8, 100, 12, 102, 16, 3)}, want: analysis.Counts{Total: 2}},
		{name: "reset before the window, confirmed in it", canary: []analysis.Series{counter("c", "200", 5, 102, 9, 3, 12, 4)}, want: analysis.Counts{Total: 4}},
		{name: "two resets", canary: []analysis.Series{counter("c", "200", 8, 100, 12, 60, 16, 3, 18, 5)}, want: analysis.Counts{Total: 65}},
		{name: "one wrong sample", canary: []analysis.Series{counter("c", "200", 8, 100, 12, 40, 16, 103)}, want: analysis.Counts{Total: 3}},
		{name: "one wrong sample before the window", canary: []analysis.Series{counter("c", "200", 5, 100, 9, 0, 16, 103)}, want: analysis.Counts{Total: 3}},
		{name: "samples that are no numbers", canary: []analysis.Series{counter("c", "200", 8, 100, 12, math.NaN(), 14, -1, 16, 103)}, want: analysis.Counts{Total: 3}},
		{name: "new or come back, nobody knows", canary: []analysis.Series{counter("c", "200", 12, 4000, 16, 4006)}, want: analysis.Counts{Total: 6}},
		{name: "errors of what may have come back", canary: []analysis.Series{counter("c", "200", 12, 4000, 16, 4006)}, failed: []analysis.Series{counter("c", "500", 12, 700, 16, 701)}, want: analysis.Counts{Total: 6, Failed: 1}},
		{name: "new pod that is known to have begun", canary: []analysis.Series{counter("c", "200", 12, 4, 16, 6)}, born: born(11), want: analysis.Counts{Total: 6}},
		{name: "old pod that came back", canary: []analysis.Series{counter("c", "200", 12, 4000, 16, 4002)}, born: born(-5000), want: analysis.Counts{Total: 2}},
		{name: "first error of an old pod", canary: []analysis.Series{counter("c", "200", 8, 5, 12, 7)}, failed: []analysis.Series{counter("c", "500", 12, 1)}, born: born(-5000), want: analysis.Counts{Total: 2, Failed: 1}},
		{name: "more failed than asked", canary: []analysis.Series{counter("c", "200", 8, 5, 12, 6)}, failed: []analysis.Series{counter("c", "500", 8, 0, 12, 3)}, want: analysis.Counts{Total: 1, Failed: 1}},
		{name: "nothing", want: analysis.Counts{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stable, canary := counting.Requests(w, [2][]analysis.Series{{steady}, tc.canary}, [2][]analysis.Series{nil, tc.failed}, tc.born)
			if canary != tc.want || stable != (analysis.Counts{Total: 10}) {
				t.Errorf("canary %+v, stable %+v; want %+v and 10", canary, stable, tc.want)
			}
		})
	}
	t.Run("source came back", func(t *testing.T) {
		stable, canary := counting.Requests(w, [2][]analysis.Series{{counter("s", "200", 12, 1000)}, {counter("c", "200", 12, 50, 14, 51)}}, [2][]analysis.Series{}, nil)
		if stable.Total != 0 || canary.Total != 1 {
			t.Errorf("stable %+v, canary %+v; want 0 and 1: nothing is known of before", stable, canary)
		}
	})
}

// scraped is a program whose requests are known, scraped badly.
type scraped struct {
	series []analysis.Series
	truth  float64
	begun  map[string]time.Time
}

func (s scraped) born(labels map[string]string) (time.Time, bool) {
	at, known := s.begun[labels["pod"]]
	return at, known
}

// scrapePods runs pods that come, go and restart for two minutes; scrapes
// come every second or two, and some are missed. Each pod is scraped when it
// begins and before it ends or restarts, so that nothing is lost in principle.
func scrapePods(rng *rand.Rand) scraped {
	out := scraped{begun: map[string]time.Time{}}
	for pod := range 1 + rng.IntN(5) {
		begin, end := float64(-20), float64(120)
		if pod > 0 {
			begin = float64(rng.IntN(60))
			end = begin + 10 + float64(rng.IntN(50))
		}
		s := counter(fmt.Sprint("p", pod), "200")
		out.begun[fmt.Sprint("p", pod)] = at(begin)
		value, last := 0.0, 0.0
		for second := begin; second < end; second++ {
			value += float64(rng.IntN(9))
			// Confirmed by a sample that is counted too.
			restart := rng.IntN(15) == 0 && value > 60 && second >= 0 && second < end-2
			if restart || second == begin || second >= end-1 || rng.IntN(3) > 0 {
				s.Samples = append(s.Samples, analysis.Sample{Time: at(second + rng.Float64()/2), Value: value})
				if second >= 0 {
					out.truth += value - last
				}
				last = value
			}
			if again := float64(rng.IntN(3)); restart && again < value {
				// A restarted counter shows less than before when scraped next.
				value, last = again, again
				s.Samples = append(s.Samples, analysis.Sample{Time: at(second + 0.7), Value: again})
				if second >= 0 {
					out.truth += again
				}
			}
		}
		out.series = append(out.series, s)
	}
	return out
}

// visible cuts the series to what one query over a window would return.
func visible(series []analysis.Series, from, to time.Time) []analysis.Series {
	var cut []analysis.Series
	for _, s := range series {
		c := analysis.Series{Labels: s.Labels}
		for _, p := range s.Samples {
			if p.Time.After(from) && !p.Time.After(to) {
				c.Samples = append(c.Samples, p)
			}
		}
		if len(c.Samples) > 0 {
			cut = append(cut, c)
		}
	}
	return cut
}

func TestSampledByNumbersOnly(t *testing.T) {
	w := analysis.Window{Start: at(10), End: at(20)}
	for name, tc := range map[string]struct {
		series analysis.Series
		want   bool
	}{
		"within":      {counter("c", "200", 5, 1, 15, 2, 25, 3), true},
		"at the end":  {counter("c", "200", 20, 2), true},
		"none within": {counter("c", "200", 10, 1, 25, 3), false},
		"no number":   {counter("c", "200", 5, 1, 15, math.NaN()), false},
	} {
		if got := counting.Sampled(w, []analysis.Series{tc.series}); got != tc.want {
			t.Errorf("%s: sampled %v, want %v", name, got, tc.want)
		}
	}
}

func TestSettled(t *testing.T) {
	w := analysis.Window{Start: at(10), End: at(20)}
	for name, tc := range map[string]struct {
		series analysis.Series
		want   bool
	}{
		"rises":                        {counter("c", "200", 5, 1, 15, 2), true},
		"fell, the next tells":         {counter("c", "200", 12, 9, 15, 2), false},
		"fell, and nothing came":       {counter("c", "200", 8, 9, 10, 2), true},
		"fell and went on":             {counter("c", "200", 5, 9, 12, 2, 15, 3), true},
		"fell after the window":        {counter("c", "200", 5, 1, 15, 9, 21, 2), true},
		"fell, then what is no number": {counter("c", "200", 12, 9, 15, 2, 18, math.NaN()), false},
		"nothing":                      {analysis.Series{}, true},
	} {
		if got := counting.Settled(w, []analysis.Series{tc.series}); got != tc.want {
			t.Errorf("%s: settled %v, want %v", name, got, tc.want)
		}
	}
}

// TestWindowsSumToTheTruth wants disjoint windows of random length to count
// every request once, through churn, resets and missed scrapes.
func TestWindowsSumToTheTruth(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		program := scrapePods(rng)
		sum := 0.0
		for start := 0.0; start < 130; {
			end := start + 1 + float64(rng.IntN(8))
			w := analysis.Window{Start: at(start), End: at(end)}
			seen := visible(program.series, w.Start.Add(-2*time.Minute), w.End)
			stable, _ := counting.Requests(w, [2][]analysis.Series{seen}, [2][]analysis.Series{}, program.born)
			sum += stable.Total
			start = end
		}
		if sum != program.truth {
			t.Errorf("seed %d: windows count %g requests, %g were served", seed, sum, program.truth)
		}
	}
}
