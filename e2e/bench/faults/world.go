package faults

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// scrape is the time between two samples of a pod.
	scrape = 5 * time.Second
	// past is how long before the trial stable runs.
	past = 10 * time.Minute
	// horizon is how long a trial is watched.
	horizon = 6 * time.Minute
	// requests a second of each pod, and the share of them that fails.
	requests = 10.0
	baseline = 0.005
	// bound of the latency check, in seconds.
	bound = "0.25"
)

// began is when every trial begins; nothing depends on the day.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// World is a program whose requests are known, and the samples that were stored
// of them.
type World struct {
	series []stored
	// asked and failed requests by arm, sample by sample.
	truth [2][]served
	// born is when each pod began.
	born map[string]time.Time
}

// stored is one series.
type stored struct {
	labels  labels.Labels
	metric  map[string]string
	samples []analysis.Sample
}

// served is what one arm's pod did until one sample.
type served struct {
	at                  time.Time
	total, failed, slow float64
}

// NewWorld draws the traffic of three pods of stable and two of the canary. The
// canary fails as often as stable until badFrom, and at the rate bad from then on.
func NewWorld(rng *rand.Rand, bad float64, badFrom time.Duration) *World {
	w := &World{born: map[string]time.Time{}}
	for pod := range 3 {
		w.pod(rng, 0, fmt.Sprintf("web-stable-%d", pod), -past, func(time.Duration) float64 { return baseline })
	}
	for pod := range 2 {
		w.pod(rng, 1, fmt.Sprintf("web-canary-%d", pod), -time.Duration(5+rng.IntN(30))*time.Second, func(age time.Duration) float64 {
			if age >= badFrom {
				return bad
			}
			return baseline
		})
	}
	return w
}

// pod draws one pod from its birth on. A pod of stable has counted for days.
func (w *World) pod(rng *rand.Rand, arm int, name string, birth time.Duration, rate func(time.Duration) float64) {
	var total, failed, slow float64
	if arm == 0 {
		total, failed, slow = 1e6, 5e3, 5e3
		w.born[name] = began.Add(-72 * time.Hour)
	} else {
		w.born[name] = began.Add(birth)
	}
	own := make([]stored, 5)
	for i, extra := range []map[string]string{
		{"__name__": "http_requests_total", "code": "200"}, {"__name__": "http_requests_total", "code": "500"},
		{"__name__": "http_failures_total"},
		{"__name__": "http_duration_seconds_bucket", "le": bound}, {"__name__": "http_duration_seconds_bucket", "le": "+Inf"},
	} {
		extra["namespace"], extra["pod"], extra["job"] = "prod", name, "web"
		own[i].metric, own[i].labels = extra, labels.FromMap(extra)
	}
	offset := time.Duration(rng.Int64N(int64(scrape)))
	for age := birth + offset; age < horizon; age += scrape {
		n := draw(rng, requests*scrape.Seconds())
		bad, late := some(rng, n, rate(age)), some(rng, n, rate(age))
		total, failed, slow = total+n, failed+bad, slow+late
		at := began.Add(age).Truncate(time.Millisecond)
		w.truth[arm] = append(w.truth[arm], served{at: at, total: n, failed: bad, slow: late})
		for i, value := range []float64{total - failed, failed, failed, total - slow, total} {
			own[i].samples = append(own[i].samples, analysis.Sample{Time: at, Value: value})
		}
	}
	w.series = append(w.series, own...)
}

// spoil stores the samples that a schedule's counters go backwards at.
func (w *World) spoil(rng *rand.Rand, schedule Schedule) {
	for _, f := range schedule {
		if f.Kind != Backwards {
			continue
		}
		s := &w.series[rng.IntN(len(w.series))]
		for i := 1; i < len(s.samples); i++ {
			if s.samples[i].Time.Sub(began) >= f.From {
				s.samples[i].Value = math.Floor(s.samples[i-1].Value * rng.Float64())
				break
			}
		}
	}
}

// Until gives what an arm really served within a window, with its slow
// requests as the failed ones where slow is true.
func (w *World) Until(arm int, window analysis.Window, slow bool) analysis.Counts {
	var c analysis.Counts
	for _, s := range w.truth[arm] {
		if !s.at.After(window.Start) || s.at.After(window.End) {
			continue
		}
		c.Total += s.total
		if slow {
			c.Failed += s.slow
		} else {
			c.Failed += s.failed
		}
	}
	return c
}

// draw is a Poisson number of a mean far above 0.
func draw(rng *rand.Rand, mean float64) float64 {
	return max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
}

// some is how many of n things happen with a chance of rate each.
func some(rng *rand.Rand, n, rate float64) float64 {
	hit := 0.0
	for range int(n) {
		if rng.Float64() < rate {
			hit++
		}
	}
	return hit
}
