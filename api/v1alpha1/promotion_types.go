package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PromotionPhase is how far a Promotion is.
//
// +kubebuilder:validation:Enum=Pending;Writing;AwaitingApproval;Applying;RollingOut;Soaking;Succeeded;Failed;RollingBack;RolledBack;Superseded;Rejected
type PromotionPhase string

// Phases of a Promotion.
const (
	// PromotionPending: gates are closed; the condition names them.
	PromotionPending PromotionPhase = "Pending"
	// PromotionWriting: the commit, or the pull request, is being written.
	PromotionWriting PromotionPhase = "Writing"
	// PromotionAwaitingApproval: the pull request is open.
	PromotionAwaitingApproval PromotionPhase = "AwaitingApproval"
	// PromotionApplying: Git has it, the cluster's objects do not yet.
	PromotionApplying PromotionPhase = "Applying"
	// PromotionRollingOut: the objects have it, the pods do not all run it yet.
	PromotionRollingOut PromotionPhase = "RollingOut"
	// PromotionSoaking: it runs, and is watched until its Rollouts' bakes end.
	PromotionSoaking PromotionPhase = "Soaking"
	// PromotionSucceeded: it runs well.
	PromotionSucceeded PromotionPhase = "Succeeded"
	// PromotionFailed: it could not be carried out; Git has not been changed,
	// or rollback is None.
	PromotionFailed PromotionPhase = "Failed"
	// PromotionRollingBack: it failed and Git is being restored.
	PromotionRollingBack PromotionPhase = "RollingBack"
	// PromotionRolledBack: it failed and Git is as before.
	PromotionRolledBack PromotionPhase = "RolledBack"
	// PromotionSuperseded: a newer Release, or a person's edit, took its place.
	PromotionSuperseded PromotionPhase = "Superseded"
	// PromotionRejected: a person closed its pull request.
	PromotionRejected PromotionPhase = "Rejected"
)

// PromotionSpec is one Release into one Environment.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Promotion is immutable"
type PromotionSpec struct {
	// pipeline that it belongs to.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pipeline string `json:"pipeline"`
	// environment to bring it into.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// release to bring.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Release string `json:"release"`
	// attempt counts the Promotions of this Release into this Environment.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=1
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// number counts all the Promotions into this Environment; the highest is the
	// newest.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=1
	// +optional
	Number int64 `json:"number,omitempty"`
	// requestedBy names the person who asked for it, where Serin's own rules
	// (newest, not quarantined, succeeded before) did not.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	RequestedBy string `json:"requestedBy,omitempty"`
	// request is the value of the Pipeline's request annotation that asked.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Request string `json:"request,omitempty"`
}

// PromotionStatus is the record of a Promotion.
type PromotionStatus struct {
	// observedGeneration is the generation that conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// phase it is in.
	// +optional
	Phase PromotionPhase `json:"phase,omitempty"`
	// message for people: what happened, what was measured, what to do next.
	// +optional
	Message string `json:"message,omitempty"`
	// conditions: Ready, Reconciling, Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// previous are the images that Git had before, which a rollback restores.
	// +listType=map
	// +listMapKey=repository
	// +optional
	Previous []ImageReference `json:"previous,omitempty"`
	// approvedBy is who approved it with "serin approve".
	// +optional
	ApprovedBy string `json:"approvedBy,omitempty"`
	// commit on the branch that carries it.
	// +optional
	Commit string `json:"commit,omitempty"`
	// rollbackCommit on the branch that took it back.
	// +optional
	RollbackCommit string `json:"rollbackCommit,omitempty"`
	// pullRequest that asks for it.
	// +optional
	PullRequest *PullRequestStatus `json:"pullRequest,omitempty"`
	// workloads that it changes, as the overlay renders.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +optional
	Workloads []PromotedWorkload `json:"workloads,omitempty"`
	// written is when the commit was first seen on the branch.
	// +optional
	Written *metav1.Time `json:"written,omitempty"`
	// clock is how much of the deadline is used up; pauses and freezes do not
	// count.
	// +optional
	Clock metav1.Duration `json:"clock,omitzero"`
	// clockSince is when clock was last written.
	// +optional
	ClockSince *metav1.Time `json:"clockSince,omitempty"`
	// succeeded is when it was first seen to run well.
	// +optional
	Succeeded *metav1.Time `json:"succeeded,omitempty"`
	// completed is when it ended.
	// +optional
	Completed *metav1.Time `json:"completed,omitempty"`
	// failure is why it failed; set before anything is taken back.
	// +optional
	Failure string `json:"failure,omitempty"`
	// evidence that the analysis of this environment gave, for people.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Evidence []string `json:"evidence,omitempty"`
	// handledRequest is the last request annotation that was carried out.
	// +optional
	HandledRequest string `json:"handledRequest,omitempty"`
}

// PullRequestStatus is a pull request as the host showed it.
type PullRequestStatus struct {
	// id is the host's number, or the branch.
	ID string `json:"id"`
	// url for people.
	// +optional
	URL string `json:"url,omitempty"`
	// branch that holds the change.
	Branch string `json:"branch"`
	// head is the commit that branch was at.
	// +optional
	Head string `json:"head,omitempty"`
	// base is the commit that the change was written upon.
	// +optional
	Base string `json:"base,omitempty"`
	// closedBy is who merged or closed it, where the host tells.
	// +optional
	ClosedBy string `json:"closedBy,omitempty"`
	// state is Open, Merged or Closed.
	// +kubebuilder:validation:Enum=Open;Merged;Closed
	State string `json:"state"`
	// purpose is Promotion, or Rollback for one that takes it back.
	// +kubebuilder:validation:Enum=Promotion;Rollback
	// +kubebuilder:default=Promotion
	// +optional
	Purpose string `json:"purpose,omitempty"`
}

// PromotedWorkload is a workload whose image a Promotion changes.
type PromotedWorkload struct {
	// kind of the workload.
	Kind string `json:"kind"`
	// namespace of the workload.
	Namespace string `json:"namespace"`
	// name of the workload.
	Name string `json:"name"`
	// images that it must run.
	// +listType=atomic
	Images []string `json:"images"`
}

// Promotion is one attempt to bring one Release into one Environment.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=promo,categories=serin
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.spec.release`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Promotion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what goes where.
	Spec PromotionSpec `json:"spec"`
	// status is its record.
	// +optional
	Status PromotionStatus `json:"status,omitzero"`
}

// PromotionList is a list of Promotions.
//
// +kubebuilder:object:root=true
type PromotionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Promotion `json:"items"`
}
