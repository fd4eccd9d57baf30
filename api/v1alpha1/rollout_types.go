package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// RolloutSpec says how one workload takes a new revision.
//
// +kubebuilder:validation:XValidation:rule="self.workloadRef == oldSelf.workloadRef",message="workloadRef is immutable: delete this Rollout and make another"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.traffic.routeRef) || (has(self.traffic.service) && size(self.traffic.service) > 0)",message="traffic.routeRef needs traffic.service, the Service that the route names"
type RolloutSpec struct {
	// workloadRef names the workload, in the same namespace.
	WorkloadRef WorkloadReference `json:"workloadRef"`
	// traffic says how it is moved. Where left out, pods share it by their
	// number (the replicas router).
	// +optional
	Traffic Traffic `json:"traffic,omitzero"`
	// steps of the trial. Where left out: 20 and 50 percent, each for a minute.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Steps []Step `json:"steps,omitempty"`
	// analysis that judges the canary. Restarts, image pulls and unready pods
	// are always looked at.
	// +optional
	Analysis Analysis `json:"analysis,omitzero"`
	// bake is how long the checks go on after the rollout, with a return to the
	// revision before at once.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Bake metav1.Duration `json:"bake,omitzero"`
	// readyDeadline is how long a canary pod may take until its containers are
	// ready, from when it has a node and its images.
	// +kubebuilder:default="2m"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	ReadyDeadline metav1.Duration `json:"readyDeadline,omitzero"`
	// deadline of a whole trial; the time in which it is paused, frozen, blocked
	// or waits for a person does not count. The trial ends then: it fails where
	// canary pods are not ready, and else says nothing against the revision.
	// +kubebuilder:default="2h"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Deadline metav1.Duration `json:"deadline,omitzero"`
	// drain is how long the canary's pods are kept without traffic before they
	// are removed.
	// +kubebuilder:default="10s"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Drain metav1.Duration `json:"drain,omitzero"`
	// paused, where true, stops the clock of the step; a failure still fails.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// Traffic says what is moved.
type Traffic struct {
	// service is the user's own Service for the workload.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Service string `json:"service,omitempty"`
	// routeRef names the Gateway API route whose weights are set. Where left
	// out, pods share the traffic of service by their number.
	// +optional
	RouteRef *RouteReference `json:"routeRef,omitempty"`
}

// RouteReference names a Gateway API route.
type RouteReference struct {
	// kind of the route.
	// +kubebuilder:validation:Enum=HTTPRoute;GRPCRoute
	// +kubebuilder:default=HTTPRoute
	// +optional
	Kind string `json:"kind,omitempty"`
	// name of the route.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Step is one weight and how long it is held.
//
// +kubebuilder:validation:XValidation:rule="has(self.duration) || has(self.until)",message="a step needs duration, or until: Evidence"
// +kubebuilder:validation:XValidation:rule="!has(self.until) || self.until != 'Approval' || !has(self.duration)",message="a step until Approval has no duration"
// +kubebuilder:validation:XValidation:rule="!has(self.minDuration) || has(self.until) && self.until == 'Evidence'",message="minDuration is for a step until: Evidence; any other lasts its duration"
type Step struct {
	// weight of the canary in percent.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// duration of the step; with until: Evidence the longest time, at the end of
	// which it holds (or goes on, with onTimeout: Advance).
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Duration *metav1.Duration `json:"duration,omitempty"`
	// minDuration is how long a step until: Evidence lasts at least, however soon
	// there is evidence.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	MinDuration *metav1.Duration `json:"minDuration,omitempty"`
	// until Evidence goes on as soon as the judge has enough; until Approval
	// waits for "serin resume-rollout".
	// +kubebuilder:validation:Enum=Evidence;Approval
	// +optional
	Until string `json:"until,omitempty"`
	// onTimeout says what is done where until: Evidence has not enough by
	// duration.
	// +kubebuilder:validation:Enum=Hold;Advance
	// +kubebuilder:default=Hold
	// +optional
	OnTimeout string `json:"onTimeout,omitempty"`
}

// RolloutPhase is how far a Rollout is.
//
// +kubebuilder:validation:Enum=Healthy;Starting;Progressing;Paused;Finalising;Baking;RollingBack;RolledBack
type RolloutPhase string

// Phases of a Rollout.
const (
	// RolloutHealthy: the workload runs what it should.
	RolloutHealthy RolloutPhase = "Healthy"
	// RolloutStarting: a new revision is held; its canary starts.
	RolloutStarting RolloutPhase = "Starting"
	// RolloutProgressing: steps are taken.
	RolloutProgressing RolloutPhase = "Progressing"
	// RolloutPaused: a person, an approval step, a lack of evidence or of room
	// holds it.
	RolloutPaused RolloutPhase = "Paused"
	// RolloutFinalising: it passed; the workload itself rolls.
	RolloutFinalising RolloutPhase = "Finalising"
	// RolloutBaking: it rolled; the checks go on.
	RolloutBaking RolloutPhase = "Baking"
	// RolloutRollingBack: it failed; the canary drains.
	RolloutRollingBack RolloutPhase = "RollingBack"
	// RolloutRolledBack: stable serves, the revision that was tried is held until
	// the workload gets another template.
	RolloutRolledBack RolloutPhase = "RolledBack"
)

// RolloutStatus is where a Rollout is. What cannot be observed again is here
// before it is acted on.
type RolloutStatus struct {
	// observedGeneration is the generation that conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// phase it is in.
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// message for people: what happened, what was measured, what to do next.
	// +optional
	Message string `json:"message,omitempty"`
	// conditions: Ready, Reconciling, Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// stable is the revision that serves.
	// +optional
	Stable *Revision `json:"stable,omitempty"`
	// canary is the revision on trial, or rejected last.
	// +optional
	Canary *Revision `json:"canary,omitempty"`
	// trial counts the trials; it names the AnalysisRuns.
	// +optional
	Trial int64 `json:"trial,omitempty"`
	// step is the index of the step, from 0.
	// +optional
	Step int32 `json:"step,omitempty"`
	// steps is how many there are.
	// +optional
	Steps int32 `json:"steps,omitempty"`
	// weight asked for, in percent.
	// +optional
	Weight int32 `json:"weight"`
	// reachedWeight is what the data plane really gives, in percent.
	// +optional
	ReachedWeight int32 `json:"reachedWeight"`
	// progress of steps for people, such as "2/3".
	// +optional
	Progress string `json:"progress,omitempty"`
	// trialStarted is when the trial began.
	// +optional
	TrialStarted *metav1.Time `json:"trialStarted,omitempty"`
	// stepStarted is when the step's weight was reached.
	// +optional
	StepStarted *metav1.MicroTime `json:"stepStarted,omitempty"`
	// clock is how much of the step's time is used up; pauses and freezes do not
	// count.
	// +optional
	Clock metav1.Duration `json:"clock,omitzero"`
	// trialClock is how much of the trial's time is used up.
	// +optional
	TrialClock metav1.Duration `json:"trialClock,omitzero"`
	// undecided is how long the verdict has been Inconclusive without a break;
	// pauses and freezes do not count.
	// +optional
	Undecided metav1.Duration `json:"undecided,omitzero"`
	// clockAt is when the clocks were last brought forward.
	// +optional
	ClockAt *metav1.MicroTime `json:"clockAt,omitempty"`
	// clockStopped says why the clock stands still: Paused, Frozen (a source is
	// away), Blocked (by what is not the revision's fault, such as lack of room),
	// Waiting (for a person), or empty.
	// +optional
	ClockStopped string `json:"clockStopped,omitempty"`
	// pauseAsked says that a person asked to pause.
	// +optional
	PauseAsked bool `json:"pauseAsked,omitempty"`
	// approved says that a person approved, or skipped, the step.
	// +optional
	Approved bool `json:"approved,omitempty"`
	// drainStarted is when the canary was first seen without traffic after it
	// passed or failed.
	// +optional
	DrainStarted *metav1.MicroTime `json:"drainStarted,omitempty"`
	// phaseSince is when phase was entered.
	// +optional
	PhaseSince *metav1.MicroTime `json:"phaseSince,omitempty"`
	// analysisRun is the record of this trial.
	// +optional
	AnalysisRun string `json:"analysisRun,omitempty"`
	// verdict on the revision on trial so far, or on the one that the last trial
	// ended with: Pass, Fail or Inconclusive. Empty before anything was looked at,
	// and where no trial led to what serves now (at adoption, and after a return
	// to stable or a trial that was withdrawn).
	// +optional
	Verdict string `json:"verdict,omitempty"`
	// failure is why the trial failed; set before anything is taken back.
	// +optional
	Failure string `json:"failure,omitempty"`
	// unfinished is why the trial ended with no word against the revision, such
	// as its deadline with no evidence: the revision is held and not rejected, and
	// "serin retry-rollout" tries it again.
	// +optional
	Unfinished string `json:"unfinished,omitempty"`
	// evidence is the last trial's outcome, one line for each check.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Evidence []string `json:"evidence,omitempty"`
	// resets counts how often another writer reset the route in this trial.
	// +optional
	Resets int32 `json:"resets,omitempty"`
	// floorResets counts how often another writer lowered the autoscaler's
	// minReplicas in this trial, which is raised while a canary serves.
	// +optional
	FloorResets int32 `json:"floorResets,omitempty"`
	// stableTemplate is stable's pod template, kept during a trial where the
	// workload keeps no ReplicaSet to return to (revisionHistoryLimit: 0).
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	StableTemplate *runtime.RawExtension `json:"stableTemplate,omitempty"`
	// handledRequest is the last request annotation that was carried out.
	// +optional
	HandledRequest string `json:"handledRequest,omitempty"`
}

// Revision is one pod template of a workload.
type Revision struct {
	// templateHash is Serin's own hash of the pod template.
	TemplateHash string `json:"templateHash"`
	// podTemplateHash is the native controller's label value of its pods, where
	// known.
	// +optional
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
	// images of its containers.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Images []string `json:"images,omitempty"`
}

// Rollout says how one workload takes a new revision.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ro,categories=serin
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase in ['Healthy', 'RolledBack'] || (has(self.spec.traffic) == has(oldSelf.spec.traffic) && (!has(self.spec.traffic) || self.spec.traffic == oldSelf.spec.traffic))",message="spec.traffic cannot change while a trial is under way, because the canary's share would stay behind in the old route: wait for its end, or abort it"
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",message="the name of a Rollout has at most 52 characters, so that its trials' names are valid labels"
type Rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how.
	Spec RolloutSpec `json:"spec"`
	// status is where it is.
	// +optional
	Status RolloutStatus `json:"status,omitzero"`
}

// RolloutList is a list of Rollouts.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rollout `json:"items"`
}
