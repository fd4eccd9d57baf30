package simulate

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Traffic is the synthetic load of one scenario.
type Traffic struct {
	// RequestsPerSecond over both arms.
	RequestsPerSecond float64
	// Baseline is stable's failure rate, 0 to 1.
	Baseline float64
	// Canary is the canary's failure rate from BadFrom on; before that it is
	// stable's.
	Canary  float64
	BadFrom time.Duration
	// Growth is how long after BadFrom the canary's rate takes to get from
	// stable's to Canary, in a straight line; 0 is at once.
	Growth time.Duration
	// WarmUp is how long a new pod takes to fill its caches: the canary's rate
	// has WarmUpRate added at first, which falls to nothing by the end of it.
	WarmUp     time.Duration
	WarmUpRate float64
	// Burst is the mean number of failures that come together (geometric); 0
	// or 1 means that failures are independent.
	Burst float64
	// Incidents hit both arms alike: this many an hour on average, each
	// lasting IncidentLength on average (exponential), with IncidentRate
	// failures added.
	Incidents      float64
	IncidentLength time.Duration
	IncidentRate   float64
	// IncidentGrowth is how long an incident takes to get from nothing to
	// IncidentRate, in a straight line; 0 is at once.
	IncidentGrowth time.Duration
	// Diurnal is the amplitude, 0 to 1, of a slow swing of the load and, twice
	// as fast, of the failure rate of both arms.
	Diurnal float64
}

// source draws windows of traffic from a seeded generator.
type source struct {
	Traffic
	rng *rand.Rand
	// since and until are when the running incident began and ends, in time since
	// the start.
	since, until time.Duration
}

// window draws both arms' counts of one window that starts at an age of the
// trial, with the canary's share of the traffic.
func (s *source) window(age, length time.Duration, share float64) (stable, canary analysis.Counts) {
	load, base, bad, extra := s.rates(age, length)
	return s.arm(load*(1-share), base, extra), s.arm(load*share, bad, extra)
}

// rates are the mean number of requests in a stretch of time, the failure rates of
// stable and canary, and what an incident adds to both.
func (s *source) rates(age, length time.Duration) (load, stable, canary, extra float64) {
	swing := math.Sin(2 * math.Pi * age.Hours())
	load = s.RequestsPerSecond * (1 + s.Diurnal*swing) * length.Seconds()
	stable = s.Baseline * (1 + s.Diurnal*math.Sin(4*math.Pi*age.Hours()))
	extra = s.incident(age, length)
	return load, stable, min(1, s.canaryRate(age, stable)), extra
}

// canaryRate is the canary's failure rate at an age of the trial, base being
// stable's.
func (s *source) canaryRate(age time.Duration, base float64) float64 {
	rate := base
	if age >= s.BadFrom {
		rate = s.Canary * base / max(s.Baseline, 1e-12)
		if s.Baseline == 0 {
			rate = s.Canary
		}
		if since := age - s.BadFrom; since < s.Growth {
			rate = base + (rate-base)*since.Seconds()/s.Growth.Seconds()
		}
	}
	if age < s.WarmUp {
		rate += s.WarmUpRate * (1 - age.Seconds()/s.WarmUp.Seconds())
	}
	return rate
}

// arm draws the requests of one arm and how many of them fail.
func (s *source) arm(mean, rate, extra float64) analysis.Counts {
	total := s.poisson(mean)
	var failed float64
	if s.Burst > 1 {
		// Bursts begin as a Poisson process; each is geometric with mean Burst.
		for range int(s.poisson(total * rate / s.Burst)) {
			failed += 1 + math.Floor(math.Log(1-s.rng.Float64())/math.Log(1-1/s.Burst))
		}
	} else {
		failed = s.binomial(total, rate)
	}
	failed += s.binomial(total, extra)
	// A burst is made of requests: what it fails was asked.
	return analysis.Counts{Total: max(total, failed), Failed: failed}
}

// incident is the failure rate an incident adds to both arms now.
func (s *source) incident(age, length time.Duration) float64 {
	if s.Incidents <= 0 {
		return 0
	}
	if age >= s.until {
		if s.rng.Float64() >= s.Incidents*length.Hours() {
			return 0
		}
		s.since, s.until = age, age+time.Duration(s.rng.ExpFloat64()*float64(s.IncidentLength))
	}
	if grown := age + length/2 - s.since; grown < s.IncidentGrowth {
		return s.IncidentRate * grown.Seconds() / s.IncidentGrowth.Seconds()
	}
	return s.IncidentRate
}

// poisson draws by Knuth's product of uniforms for small means and by the
// normal approximation for large ones, where the difference does not show.
func (s *source) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean > 60 {
		return max(0, math.Round(mean+math.Sqrt(mean)*s.rng.NormFloat64()))
	}
	limit, product, n := math.Exp(-mean), s.rng.Float64(), 0.0
	for product > limit {
		product *= s.rng.Float64()
		n++
	}
	return n
}

// binomial draws failures among n requests, by waiting times where they are
// rare and by the normal approximation where they are many.
func (s *source) binomial(n, p float64) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case n*p > 60 && n*(1-p) > 60:
		return min(n, max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*s.rng.NormFloat64())))
	}
	failed, at, step := 0.0, 0.0, math.Log1p(-p)
	for {
		at += math.Floor(math.Log(1-s.rng.Float64())/step) + 1
		if at > n {
			return failed
		}
		failed++
	}
}
