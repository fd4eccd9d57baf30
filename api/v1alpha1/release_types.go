package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReleaseSpec is one immutable set of images.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Release is immutable"
type ReleaseSpec struct {
	// pipeline that made it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pipeline string `json:"pipeline"`
	// sequence orders the Releases of a Pipeline; newer is higher.
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence"`
	// images, each with where it came from.
	// +listType=map
	// +listMapKey=repository
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Images []ReleaseImage `json:"images"`
}

// ReleaseImage is one image of a Release.
type ReleaseImage struct {
	ImageReference `json:",inline"`
	// created is when it was built, where the image says so.
	// +optional
	Created *metav1.Time `json:"created,omitempty"`
	// revision of its source, where the image says so.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Revision string `json:"revision,omitempty"`
	// source is the address of its source, where the image says so.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Source string `json:"source,omitempty"`
}

// ReleaseStatus is where a Release has come to.
type ReleaseStatus struct {
	// environments, each with how far this Release is there.
	// +listType=map
	// +listMapKey=name
	// +optional
	Environments []ReleaseEnvironment `json:"environments,omitempty"`
	// summary of environments for people, such as "dev ok, staging rolling out".
	// +optional
	Summary string `json:"summary,omitempty"`
	// quarantined says in which environment and why this Release was rejected.
	// It is never promoted there or after it again unless a person says so.
	// +optional
	Quarantined *Quarantine `json:"quarantined,omitempty"`
	// conditions: Ready.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Quarantine is a rejection.
type Quarantine struct {
	// environment that rejected it.
	Environment string `json:"environment"`
	// alsoIn are environments that rejected it too and do not come after that one,
	// such as the regions of one wave.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +optional
	AlsoIn []string `json:"alsoIn,omitempty"`
	// reason of the environment.
	Reason string `json:"reason"`
	// images that were rejected; another Release that has one of them is barred
	// too.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Images []ImageReference `json:"images,omitempty"`
	// at this time.
	At metav1.Time `json:"at"`
}

// ReleaseEnvironment is a Release in one environment.
type ReleaseEnvironment struct {
	// name of the environment.
	Name string `json:"name"`
	// phase of its promotion there.
	Phase PromotionPhase `json:"phase"`
	// promotion that says more.
	Promotion string `json:"promotion"`
	// succeeded is when it was first seen to run well there.
	// +optional
	Succeeded *metav1.Time `json:"succeeded,omitempty"`
}

// Release is one immutable set of image references.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rel,categories=serin
// +kubebuilder:printcolumn:name="Pipeline",type=string,JSONPath=`.spec.pipeline`
// +kubebuilder:printcolumn:name="Tag",type=string,JSONPath=`.spec.images[*].tag`
// +kubebuilder:printcolumn:name="Environments",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Quarantined",type=string,JSONPath=`.status.quarantined.environment`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Release struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the set of images.
	Spec ReleaseSpec `json:"spec"`
	// status is where it has come to.
	// +optional
	Status ReleaseStatus `json:"status,omitzero"`
}

// ReleaseList is a list of Releases.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}
