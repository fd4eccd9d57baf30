package analysis

import "time"

// add sums counts.
func (c *Counts) add(d Counts) {
	c.Total += d.Total
	c.Failed += d.Failed
}

// rate is the share of failed requests, 0 when there were none.
func (c Counts) rate() float64 {
	if c.Total <= 0 {
		return 0
	}
	return c.Failed / c.Total
}

// Finding is the judgement of the canary's pods.
type Finding struct {
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome"`
	Reason  Reason    `json:"reason"`
	Message string    `json:"message"`
	// Ready of Pods pods have ready containers.
	Ready int `json:"ready"`
	Pods  int `json:"pods"`
}
