package analysis

import (
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
	"github.com/serin-gitops/serin/analysis/workload"
)

// StateVersion is written into every State; a State of another version cannot
// be judged on.
const StateVersion = 1

// State is all that Judge remembers between two calls. It is bounded in size
// and survives JSON without losing a bit, so that it can live in the status of
// an object and be judged again offline. Its zero value is the state before
// the first look; make it with NewState.
type State struct {
	Version int `json:"version"`
	// Started is when the trial began; Step when the current step did.
	Started time.Time `json:"started"`
	Step    time.Time `json:"step"`
	// Checks are in the order of the Spec they were judged with.
	Checks []CheckState `json:"checks,omitempty"`
}

// CheckState is what Judge remembers of one check.
type CheckState struct {
	Name string `json:"name"`
	// Through is the end of the last window that was counted; what ends at or
	// before it has been judged and is ignored when it comes again.
	Through time.Time `json:"through"`
	// Pace is how long windows are of late: the time between two scrapes, where
	// that is longer than the check's interval.
	Pace time.Duration `json:"pace,omitempty"`
	// Active is the end of the last window in which the canary had a request.
	Active time.Time `json:"active,omitzero"`
	// Seen is true once there was a series of what a ratio check tells apart.
	Seen bool `json:"seen,omitempty"`
	// Rejected counts observations that were ignored: repeated, late or overlapping.
	Rejected int64 `json:"rejected,omitempty"`
	// Absence is set while the newest observation held no data.
	Absence *AbsenceState `json:"absence,omitempty"`
	// Ratio is the accumulated evidence of ratio and latency checks.
	Ratio *evidence.State `json:"ratio,omitempty"`
	// Looks holds the last looks of threshold, http and peers checks, oldest first.
	Looks []Look `json:"looks,omitempty"`
	// Pods holds the latest finding of a workload check.
	Pods *workload.Finding `json:"pods,omitempty"`
	// Failed latches the first failing verdict: a canary that failed stays failed.
	Failed *CheckVerdict `json:"failed,omitempty"`
	// History is the bounded record for the chart.
	History History `json:"history"`
}

// AbsenceState is an absence and since when it lasts.
type AbsenceState struct {
	Absence
	Since time.Time `json:"since"`
}

// Look is the outcome of one look of a threshold or probe check.
type Look struct {
	At     time.Time `json:"at"`
	Failed bool      `json:"failed"`
	// All is true when every canary pod failed.
	All     bool    `json:"all,omitempty"`
	Number  float64 `json:"number"`
	Message string  `json:"message,omitempty"`
}

// NewState begins a trial at an instant.
func NewState(now time.Time) State {
	return State{Version: StateVersion, Started: now, Step: now}
}

// BeginStep begins a new step: what a step needs before it may pass (requests
// of the canary, proof that it is good) is counted anew; the evidence against the
// canary stays.
func BeginStep(s State, now time.Time) State {
	s.Step = now
	s.Checks = append([]CheckState(nil), s.Checks...)
	for i := range s.Checks {
		c := &s.Checks[i]
		if c.Ratio != nil {
			r := c.Ratio.BeginStep()
			c.Ratio = &r
		}
	}
	return s
}
