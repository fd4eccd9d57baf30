package analysis

import "github.com/serin-gitops/serin/analysis/workload"

// Outcome of a check or of a whole analysis.
type Outcome string

// The outcomes.
const (
	// Pass: enough was seen and nothing of it speaks against the canary.
	Pass Outcome = "Pass"
	// Fail: there is evidence against the canary.
	Fail Outcome = "Fail"
	// Inconclusive: not enough is known; the weight must not rise.
	Inconclusive Outcome = "Inconclusive"
)

// Reason is a stable token that tells verdicts apart.
type Reason string

// The reasons.
const (
	ReasonHealthy         Reason = "Healthy"
	ReasonWorseThanStable Reason = "WorseThanStable"
	ReasonOverObjective   Reason = "OverObjective"
	ReasonOutOfBounds     Reason = "OutOfBounds"
	ReasonProbesFailed    Reason = "ProbesFailed"
	ReasonProbesFailing   Reason = "ProbesFailing"
	ReasonOverStable      Reason = "OverStable"
	ReasonGateFailed      Reason = "GateFailed"
	ReasonGatePending     Reason = "GatePending"
	ReasonCrashed         Reason = workload.ReasonCrashed
	ReasonOOMKilled       Reason = workload.ReasonOOMKilled
	ReasonImagePull       Reason = workload.ReasonImagePull
	ReasonUnready         Reason = workload.ReasonUnready
	ReasonNotReadyYet     Reason = workload.ReasonNotReadyYet
	ReasonInitialDelay    Reason = "InitialDelay"
	ReasonTooFewRequests  Reason = "TooFewRequests"
	ReasonSuspicious      Reason = "Suspicious"
	ReasonNoData          Reason = "NoData"
	ReasonNoSeries        Reason = "NoSeries"
	ReasonPartialData     Reason = "PartialData"
	ReasonBadQuery        Reason = "BadQuery"
	ReasonSourceOutage    Reason = "SourceOutage"
	ReasonSourceLimit     Reason = "SourceLimitExceeded"
	ReasonInvalidCheck    Reason = "InvalidCheck"
)

// Verdict is the answer of a whole analysis.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// Proven is true when every deciding check passes, there is a ratio or latency
	// check among them, and each of these has evidence that the canary is good; a
	// step "until: Evidence" advances then. It implies Outcome Pass.
	Proven bool `json:"proven,omitempty"`
	// Freeze asks the caller to stop the step's clock: a source is away.
	Freeze bool `json:"freeze,omitempty"`
	// NeedsPerson is true when waiting longer will not help: a source has been
	// away for too long, or a query is wrong.
	NeedsPerson bool   `json:"needsPerson,omitempty"`
	Reason      Reason `json:"reason"`
	// Message is one sentence, with the numbers, that a person on call can act on.
	Message string `json:"message"`
	// Checks holds every check's own verdict in the order of the Spec.
	Checks []CheckVerdict `json:"checks"`
}

// CheckVerdict is the answer of one check.
type CheckVerdict struct {
	Name    string  `json:"name"`
	Kind    Kind    `json:"kind"`
	Outcome Outcome `json:"outcome"`
	// DryRun verdicts do not decide.
	DryRun  bool   `json:"dryRun,omitempty"`
	Proven  bool   `json:"proven,omitempty"`
	Freeze  bool   `json:"freeze,omitempty"`
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
	// Number is what was measured and Bound what it was held against: for ratio
	// checks the canary's failure rate and stable's.
	Number float64 `json:"number"`
	Bound  float64 `json:"bound"`
	// Stable and Canary are the counts since the trial began (ratio, latency).
	Stable *Counts `json:"stable,omitempty"`
	Canary *Counts `json:"canary,omitempty"`
	// Evidence against the canary (E, at most 1e300) and where it fails (1/alpha).
	Evidence float64 `json:"evidence,omitempty"`
	Limit    float64 `json:"limit,omitempty"`
}
