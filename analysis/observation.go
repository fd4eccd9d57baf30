package analysis

import (
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
	"github.com/serin-gitops/serin/analysis/history"
	"github.com/serin-gitops/serin/analysis/usage"
	"github.com/serin-gitops/serin/analysis/workload"
)

// Window is the half-open stretch of time (Start, End]. For a look at one
// instant both are equal.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Counts of one arm within one window.
type Counts = evidence.Counts

// History is the bounded course of one check's evidence.
type History = history.History

// Point is one point of a History.
type Point = history.Point

// PodState is what is known of one pod of the canary at one instant.
type PodState = workload.Pod

// ContainerState is what is known of one of its containers.
type ContainerState = workload.Container

// Observation is what one look of one check brought: the field of the check's
// kind, or the Absence that says why there is nothing.
type Observation struct {
	// Check is the name of the check this belongs to.
	Check  string `json:"check"`
	Window Window `json:"window"`

	// Stable and Canary are set for ratio and latency checks.
	Stable *Counts `json:"stable,omitempty"`
	Canary *Counts `json:"canary,omitempty"`
	// Unseen is true where the requests that a ratio check tells apart, bad or good,
	// have no series yet, and may have been named wrong.
	Unseen bool `json:"unseen,omitempty"`
	// Value is set for threshold checks.
	Value *float64 `json:"value,omitempty"`
	// Probes holds one result per canary pod for http and peers checks.
	Probes []ProbeResult `json:"probes,omitempty"`
	// Usage is set for resources checks.
	Usage *usage.Seen `json:"usage,omitempty"`
	// Answer is set for webhook checks.
	Answer *Answer `json:"answer,omitempty"`
	// Pods holds the canary's pods for workload checks.
	Pods []PodState `json:"pods,omitempty"`

	Absence *Absence `json:"absence,omitempty"`
}

// ProbeResult is the answer of one canary pod, or of the canary's Service.
type ProbeResult struct {
	Pod  string `json:"pod"`
	Pass bool   `json:"pass"`
	// Service is true where Pod names the canary's Service instead.
	Service bool `json:"service,omitempty"`
	// Message says what was found, with the number and the bound; it never
	// holds the body of a response.
	Message string `json:"message,omitempty"`
	// Number is the peers counted or the status code.
	Number float64 `json:"number"`
}

// Answer is what a gate said.
type Answer struct {
	Pass bool `json:"pass"`
	// Status is that of HTTP.
	Status int `json:"status"`
	// Message is what the gate says, bounded and in one line, or what its status
	// means.
	Message string `json:"message,omitempty"`
}

// AbsenceKind says why an Observation holds no data.
type AbsenceKind string

// The kinds of absence.
const (
	// NoData: the series exist and hold nothing in the window, or the value is NaN.
	NoData AbsenceKind = "NoData"
	// NoSeries: nothing matches the selector.
	NoSeries AbsenceKind = "NoSeries"
	// Partial: the source answered and said that something is missing.
	Partial AbsenceKind = "Partial"
	// Outage: the source could not be asked.
	Outage AbsenceKind = "Outage"
	// BadQuery: the source refused the question; a person must mend it.
	BadQuery AbsenceKind = "BadQuery"
	// Pending: a gate was asked and has no answer yet; it holds the step.
	Pending AbsenceKind = "Pending"
)

// Absence is the typed reason for having no data. It implements error, so
// that adapters return it as one.
type Absence struct {
	Kind    AbsenceKind `json:"kind"`
	Message string      `json:"message"`
}

// Error implements error.
func (a *Absence) Error() string { return string(a.Kind) + ": " + a.Message }
