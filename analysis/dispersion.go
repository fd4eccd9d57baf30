package analysis

// Dispersion estimates by how much failures come in bursts: the variance of
// stable's failures per block of requests over what independent failures would
// have. It learns from stable's windows alone, never from the canary's.
type Dispersion struct {
	// Open is the block being filled, Last the one before it.
	Open Counts `json:"open"`
	Last Counts `json:"last"`
	// Squares sums the squared differences of neighbouring blocks' failures,
	// and Failures the same sum's expectation were they independent.
	Squares  float64 `json:"squares"`
	Failures float64 `json:"failures"`
}
