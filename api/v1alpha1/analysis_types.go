package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Analysis says how a canary is judged.
type Analysis struct {
	// source says which Prometheus is asked; the controller's default where
	// left out.
	// +optional
	Source *MetricSource `json:"source,omitempty"`
	// templates whose checks are asked too, each with its arguments.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	Templates []TemplateReference `json:"templates,omitempty"`
	// checks written here.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	Checks []Check `json:"checks,omitempty"`
	// alpha is the greatest chance of failing a canary that is no worse than
	// stable, over the whole trial and all checks, such as "0.01".
	// +kubebuilder:validation:Pattern=`^0\.[0-9]{1,6}$`
	// +kubebuilder:default="0.01"
	// +optional
	Alpha string `json:"alpha,omitempty"`
	// interval between two looks.
	// +kubebuilder:default="2s"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Interval metav1.Duration `json:"interval,omitzero"`
	// freezeLimit is how long an outage of a source may freeze a step until a
	// person is asked (the Rollout is Paused then).
	// +kubebuilder:default="30m"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	FreezeLimit metav1.Duration `json:"freezeLimit,omitzero"`
	// inconclusiveLimit is how long the verdict of a trial may stay Inconclusive
	// without a break, such as for want of traffic, until a person is asked (the
	// Rollout is Paused then, and goes on by itself once the verdict passes); 0,
	// the default, leaves that to the trial's deadline.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	InconclusiveLimit metav1.Duration `json:"inconclusiveLimit,omitzero"`
	// history is how many AnalysisRuns of this Rollout are kept; the oldest go
	// first.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=10
	// +optional
	History int32 `json:"history,omitempty"`
	// historyAge is how long an AnalysisRun is kept after its trial ended; 0, the
	// default, keeps it until history removes it. That of the trial that runs is
	// never removed.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	HistoryAge metav1.Duration `json:"historyAge,omitzero"`
}

// MetricSource is a server with the Prometheus API.
type MetricSource struct {
	// url of the server, to which /api/v1 is added.
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url"`
	// secretRef names a Secret with username and password, or token, or clientID
	// and clientSecret for oauth2, and ca.crt, tls.crt and tls.key.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// oauth2 gets tokens by the client credentials grant (RFC 6749, 4.4).
	// +optional
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
	// proxyURL of an HTTP proxy; that of the controller's environment where left
	// out.
	// +kubebuilder:validation:Pattern=`^https?://[^\s@]+$`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ProxyURL string `json:"proxyURL,omitempty"`
	// headers to send, such as X-Scope-OrgID.
	// +kubebuilder:validation:MaxProperties=16
	// +optional
	Headers map[string]string `json:"headers,omitempty"`
}

// OAuth2 says where tokens come from. The client's identifier and secret are
// clientID and clientSecret of the source's secretRef.
type OAuth2 struct {
	// tokenURL gives tokens.
	// +kubebuilder:validation:Pattern=`^https?://[^\s@]+$`
	// +kubebuilder:validation:MaxLength=1024
	TokenURL string `json:"tokenURL"`
	// scopes to ask for.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=atomic
	// +optional
	Scopes []string `json:"scopes,omitempty"`
}

// Kinds of template.
const (
	// KindAnalysisTemplate is in the namespace of the Rollout.
	KindAnalysisTemplate = "AnalysisTemplate"
	// KindClusterAnalysisTemplate is there for all namespaces.
	KindClusterAnalysisTemplate = "ClusterAnalysisTemplate"
)

// TemplateReference uses the checks of an AnalysisTemplate of the same
// namespace, or of a ClusterAnalysisTemplate.
type TemplateReference struct {
	// kind of the template.
	// +kubebuilder:validation:Enum=AnalysisTemplate;ClusterAnalysisTemplate
	// +kubebuilder:default=AnalysisTemplate
	// +optional
	Kind string `json:"kind,omitempty"`
	// name of the template.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// args give values to its parameters.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	Args []Argument `json:"args,omitempty"`
}

// Argument is a value for a parameter.
type Argument struct {
	// name of the parameter.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// value of it. ${serin.namespace}, ${serin.workload}, ${serin.service},
	// ${serin.stableService}, ${serin.canaryService}, ${serin.stableHash} and
	// ${serin.canaryHash} stand for what they say.
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}

// AnalysisTemplateSpec is a reusable set of checks.
type AnalysisTemplateSpec struct {
	// parameters of the checks, used as ${name} in their texts.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	Parameters []Parameter `json:"parameters,omitempty"`
	// checks that are asked.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	Checks []Check `json:"checks"`
}

// Types of a Parameter; the empty one is TypeString.
const (
	// TypeString takes any text.
	TypeString = "String"
	// TypeNumber takes a decimal number.
	TypeNumber = "Number"
	// TypeDuration takes a duration of PromQL.
	TypeDuration = "Duration"
	// TypeURL takes an absolute address with http or https.
	TypeURL = "URL"
)

// Parameter of a template.
type Parameter struct {
	// name of the parameter.
	// +kubebuilder:validation:Pattern=`^[a-zA-Z][a-zA-Z0-9]*$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// type of its values: String, any text; Number, a decimal number such as 0.01;
	// Duration, one of PromQL such as 5m; URL, an address with http or https. A
	// value of another type is refused.
	// +kubebuilder:validation:Enum=String;Number;Duration;URL
	// +kubebuilder:default=String
	// +optional
	Type string `json:"type,omitempty"`
	// default value; a parameter without one must be given.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Default *string `json:"default,omitempty"`
	// description for people.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Description string `json:"description,omitempty"`
}

// AnalysisTemplate is a reusable set of checks with parameters.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=at,categories=serin
// +kubebuilder:printcolumn:name="Checks",type=string,JSONPath=`.spec.checks[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the set of checks.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// AnalysisTemplateList is a list of AnalysisTemplates.
//
// +kubebuilder:object:root=true
type AnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnalysisTemplate `json:"items"`
}

// ClusterAnalysisTemplate is a reusable set of checks with parameters, for the
// Rollouts of all namespaces.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=cat,categories=serin
// +kubebuilder:printcolumn:name="Checks",type=string,JSONPath=`.spec.checks[*].name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterAnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the set of checks.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// ClusterAnalysisTemplateList is a list of ClusterAnalysisTemplates.
//
// +kubebuilder:object:root=true
type ClusterAnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterAnalysisTemplate `json:"items"`
}
