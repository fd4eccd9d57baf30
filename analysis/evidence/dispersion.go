package evidence

const (
	// blockRequests is how many of stable's requests make one block. It is far
	// above the length of a burst, so that a burst falls into one block also
	// where traffic is low and one burst spans many windows.
	blockRequests = 200
	// priorFailures is the weight, in failures, of the prior belief that
	// failures are independent. A single early burst moves the factor, it does
	// not set it.
	priorFailures = 5
	// maxDispersion bounds the factor, so that an odd past cannot blind the judge.
	maxDispersion = 60
)

// Dispersion estimates by how much failures come in bursts: the variance of
// stable's failures per block of requests over what independent failures would
// have. It learns from stable's windows alone, never from the canary's, so a
// canary that turns bad cannot excuse itself.
//
// Differences of neighbouring blocks are used instead of deviations from the
// mean (von Neumann's mean square successive difference), so that slow changes
// and incidents that last many blocks, which both arms share, do not count as
// bursts: those are handled by comparing the arms within each window.
type Dispersion struct {
	// Open is the block being filled, Last the one before it.
	Open Counts `json:"open"`
	Last Counts `json:"last"`
	// Squares sums the weighted squared differences of neighbouring blocks'
	// failure rates, and Failures what independent failures would have given.
	Squares  float64 `json:"squares"`
	Failures float64 `json:"failures"`
}

// learn adds one of stable's windows.
func (d Dispersion) learn(c Counts) Dispersion {
	d.Open.Add(c)
	if d.Open.Total < blockRequests {
		return d
	}
	if d.Last.Total > 0 {
		weight := 1 / (1/d.Open.Total + 1/d.Last.Total)
		diff := d.Open.Rate() - d.Last.Rate()
		both := d.Open
		both.Add(d.Last)
		d.Squares += 2 * diff * diff * weight * weight
		d.Failures += 2 * both.Rate() * (1 - both.Rate()) * weight
	}
	d.Last, d.Open = d.Open, Counts{}
	return d
}

// Factor is the estimate, at least 1 and at most maxDispersion.
func (d Dispersion) Factor() float64 {
	f := (priorFailures + d.Squares) / (priorFailures + d.Failures)
	return min(max(f, 1), maxDispersion)
}
