package v1alpha1

// LocalReference names an object of the same namespace.
type LocalReference struct {
	// name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// WorkloadReference names a workload.
type WorkloadReference struct {
	// kind of the workload.
	// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
	// +kubebuilder:default=Deployment
	// +optional
	Kind string `json:"kind,omitempty"`
	// name of the workload.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ImageReference is one image: where it is kept and which one it is.
type ImageReference struct {
	// repository is the image's name without tag and digest.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// tag is what a person calls it.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Tag string `json:"tag,omitempty"`
	// digest is what runs.
	// +kubebuilder:validation:Pattern=`^(sha256:[a-f0-9]{64})?$`
	// +optional
	Digest string `json:"digest,omitempty"`
}

// Annotations and labels of Serin.
const (
	// AnnotationRequest asks for something once; its value is a word and the
	// time, such as "abort@2026-01-02T15:04:05Z". status.handledRequest holds
	// the last value that was carried out.
	AnnotationRequest = "serin.dev/request"
	// AnnotationReason is why a person asked.
	AnnotationReason = "serin.dev/reason"
	// AnnotationBy is who asked, as the command line found it.
	AnnotationBy = "serin.dev/by"
	// AnnotationAllowPipelines on a Namespace names the namespaces whose Pipelines
	// may use its workloads and Flux objects, separated by commas; "*" is all.
	AnnotationAllowPipelines = "serin.dev/allow-pipelines-from"
	// LabelPipeline, LabelEnvironment and LabelRelease mark what belongs to them.
	LabelPipeline    = "serin.dev/pipeline"
	LabelEnvironment = "serin.dev/environment"
	LabelRelease     = "serin.dev/release"
	// LabelRollout marks what a Rollout owns.
	LabelRollout = "serin.dev/rollout"
	// LabelHold on a workload's own metadata lets the admission policy hold
	// every new revision.
	LabelHold = "serin.dev/hold"
	// AnnotationHeld marks a workload that the admission policy paused; Serin
	// takes it off when it resumes the workload.
	AnnotationHeld = "serin.dev/held"
	// AnnotationTemplate on a canary is the hash of the pod template it was made
	// from.
	AnnotationTemplate = "serin.dev/template"
	// LabelArm on a pod template of the canary says "canary".
	LabelArm = "serin.dev/arm"
	// GateTraffic is the readiness gate of canary pods.
	GateTraffic = "serin.dev/traffic"
	// Finalizer of Serin's objects that leave something behind.
	Finalizer = "serin.dev/finalizer"
)

// Conditions that every kind has, in the words of kstatus.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
)

// Words of AnnotationRequest, which "serin" commands write; "/" and each
// argument, then "@" and a time follow.
const (
	// RequestApprove and RequestReject answer a Promotion's pull request, or
	// open its approval gate.
	RequestApprove = "approve"
	RequestReject  = "reject"
	// RequestAbort fails the trial of a Rollout, RequestPause and RequestResume
	// stop and start its clock. RequestResume also passes an approval step;
	// on a Pipeline, with an environment, it ends a hold.
	RequestAbort  = "abort"
	RequestPause  = "pause"
	RequestResume = "resume"
	// RequestSkip ends a Rollout's step as soon as the verdict passes.
	RequestSkip = "skip"
	// RequestPromote takes a Rollout's canary in full now; on a Pipeline, with
	// an environment and a Release, it brings that one there.
	RequestPromote = "promote"
	// RequestRetry tries a Rollout's held revision again; on a Pipeline, with
	// an environment, the Release that failed or was rejected last there.
	RequestRetry = "retry"
)
