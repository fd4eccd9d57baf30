package analysis

// RatioState is what a ratio or latency check has accumulated. All evidence is
// kept as natural logarithms; every number is finite so that JSON carries it.
type RatioState struct {
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
	// Better and Within are the mirrored tests of the current step.
	Better []float64 `json:"better,omitempty"`
	Within []float64 `json:"within,omitempty"`
	// Recent is the decayed memory of stable's last requests; it tells whether
	// stable itself keeps the objective.
	Recent Counts `json:"recent"`
	// Dispersion is what stable's windows have taught about bursts of failures.
	Dispersion Dispersion `json:"dispersion"`
}
