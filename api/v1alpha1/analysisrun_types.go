package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnalysisRunSpec says what is recorded.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AnalysisRun's spec is immutable"
type AnalysisRunSpec struct {
	// rollout whose trial it is.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Rollout string `json:"rollout"`
	// trial of that Rollout.
	Trial int64 `json:"trial"`
	// stable and canary that are compared.
	Stable Revision `json:"stable"`
	// canary on trial.
	Canary Revision `json:"canary"`
	// alpha of the whole trial.
	Alpha string `json:"alpha"`
	// checks as they were resolved when the trial began.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Checks []Check `json:"checks,omitempty"`
}

// AnalysisRunStatus is the bounded record of one trial.
type AnalysisRunStatus struct {
	// verdict: Pass, Fail or Inconclusive.
	// +optional
	Verdict string `json:"verdict,omitempty"`
	// message of that verdict.
	// +optional
	Message string `json:"message,omitempty"`
	// started and completed times of the trial.
	// +optional
	Started *metav1.Time `json:"started,omitempty"`
	// completed is when the trial ended.
	// +optional
	Completed *metav1.Time `json:"completed,omitempty"`
	// checks, each with its last verdict.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=65
	// +optional
	Checks []CheckStatus `json:"checks,omitempty"`
	// state is what the judge has accumulated, as the judge wrote it (JSON, gzip,
	// base64); the trial goes on from it after a crash.
	// +kubebuilder:validation:MaxLength=524288
	// +optional
	State string `json:"state,omitempty"`
	// record of the observations, bounded, as the judge wrote it (lines of
	// JSON, gzip, base64); enough to draw the chart and to judge again.
	// +kubebuilder:validation:MaxLength=524288
	// +optional
	Record string `json:"record,omitempty"`
}

// CheckStatus is one check's last verdict.
type CheckStatus struct {
	// name of the check.
	Name string `json:"name"`
	// verdict: Pass, Fail or Inconclusive.
	Verdict string `json:"verdict"`
	// message with the numbers.
	// +optional
	Message string `json:"message,omitempty"`
	// dryRun says that it never decides.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
}

// AnalysisRun is the bounded record of one trial.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ar,categories=serin
// +kubebuilder:printcolumn:name="Rollout",type=string,JSONPath=`.spec.rollout`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AnalysisRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is recorded.
	Spec AnalysisRunSpec `json:"spec"`
	// status is the record.
	// +optional
	Status AnalysisRunStatus `json:"status,omitzero"`
}

// AnalysisRunList is a list of AnalysisRuns.
//
// +kubebuilder:object:root=true
type AnalysisRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnalysisRun `json:"items"`
}
