// Package evidence accumulates statistical evidence about a canary's failures,
// against stable's and against an objective. It is arithmetic: no clock, no
// client, no verdict.
package evidence

import "math"

// Counts of one arm within one window. They are floats because counters are.
type Counts struct {
	Total  float64 `json:"total"`
	Failed float64 `json:"failed"`
}

// Valid is true for figures that can be numbers of requests.
func (c Counts) Valid() bool {
	finite := !math.IsNaN(c.Total) && !math.IsInf(c.Total, 0) && !math.IsNaN(c.Failed)
	return finite && c.Failed >= 0 && c.Failed <= c.Total
}

// Add sums counts.
func (c *Counts) Add(d Counts) {
	c.Total += d.Total
	c.Failed += d.Failed
}

// Rate is the share of failed requests, 0 when there were none.
func (c Counts) Rate() float64 {
	if c.Total <= 0 {
		return 0
	}
	return c.Failed / c.Total
}

// State is what a ratio or latency check has accumulated. All evidence is
// kept as natural logarithms; every number is finite so that JSON carries it.
type State struct {
	// Stable and Canary are the counts since the trial began; StepCanary those
	// of the canary since the current step began.
	Stable     Counts `json:"stable"`
	Canary     Counts `json:"canary"`
	StepCanary Counts `json:"stepCanary"`
	// Looks is the number of windows in which both arms had requests;
	// GuardLooks that in which the canary had.
	Looks      int64 `json:"looks"`
	GuardLooks int64 `json:"guardLooks"`
	// Worse and Guard hold one accumulated log likelihood ratio per alternative.
	Worse []float64 `json:"worse,omitempty"`
	Guard []float64 `json:"guard,omitempty"`
	// Capped is true while the newest window with requests of the canary spoke
	// against it by more than one window may: what it holds beyond that is no
	// evidence yet, and no reason to go on either.
	Capped bool `json:"capped,omitempty"`
	// Better and Within are the mirrored tests of the current step.
	Better []float64 `json:"better,omitempty"`
	Within []float64 `json:"within,omitempty"`
	// Recent and Usual are decayed memories of stable's requests, a short and a
	// long one; they tell whether stable itself keeps the objective.
	Recent Counts `json:"recent"`
	Usual  Counts `json:"usual"`
	// Dispersion is what stable's windows have taught about bursts of failures.
	Dispersion Dispersion `json:"dispersion"`
}
