package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Check is one question asked of the running system. Exactly one kind is set.
//
// +kubebuilder:validation:XValidation:rule="(has(self.ratio) ? 1 : 0) + (has(self.latency) ? 1 : 0) + (has(self.threshold) ? 1 : 0) + (has(self.http) ? 1 : 0) + (has(self.peers) ? 1 : 0) + (has(self.resources) ? 1 : 0) + (has(self.webhook) ? 1 : 0) == 1",message="a check has exactly one of ratio, latency, threshold, http, peers, resources and webhook"
type Check struct {
	// name of the check.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// dryRun, where true, shows what it finds and never decides.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// initialDelay from the trial's start, which is when the first canary pod is
	// up, until this check decides; what is measured before is left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	InitialDelay metav1.Duration `json:"initialDelay,omitzero"`
	// interval between two looks of this check; that of the analysis where left
	// out, and then 15s at least for resources and 10s for a webhook.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Interval metav1.Duration `json:"interval,omitzero"`
	// weight is this check's part of alpha, relative to the other ratio and
	// latency checks.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	// +optional
	Weight int32 `json:"weight,omitempty"`
	// noData says what a check means that has no data, such as a canary that
	// nobody asks: Hold keeps the step, Pass passes it. An outage of the source
	// freezes the step whatever is said here.
	// +kubebuilder:validation:Enum=Hold;Pass
	// +kubebuilder:default=Hold
	// +optional
	NoData string `json:"noData,omitempty"`
	// ratio of bad requests among all, canary against stable.
	// +optional
	Ratio *RatioCheck `json:"ratio,omitempty"`
	// latency: the share of requests slower than a bound, canary against stable.
	// +optional
	Latency *LatencyCheck `json:"latency,omitempty"`
	// threshold: a number out of a query, against bounds.
	// +optional
	Threshold *ThresholdCheck `json:"threshold,omitempty"`
	// http asks every canary pod.
	// +optional
	HTTP *HTTPCheck `json:"http,omitempty"`
	// peers asks every canary pod for its peers.
	// +optional
	Peers *PeersCheck `json:"peers,omitempty"`
	// resources: CPU and memory of each pod, canary against stable.
	// +optional
	Resources *ResourcesCheck `json:"resources,omitempty"`
	// webhook asks a gate or a test outside.
	// +optional
	Webhook *WebhookCheck `json:"webhook,omitempty"`
}

// What noData may be.
const (
	// NoDataHold keeps the step.
	NoDataHold = "Hold"
	// NoDataPass passes the check.
	NoDataPass = "Pass"
)

// RatioCheck compares counters of both arms with the sequential test of
// Lindon and Malek (arXiv 2011.03567).
//
// +kubebuilder:validation:XValidation:rule="has(self.bad) != has(self.good)",message="a ratio check has exactly one of bad and good"
type RatioCheck struct {
	// total selects the counters of all requests, as a PromQL series selector
	// such as http_requests_total{handler="work"}. Which pods are the canary's
	// and which stable's is added by Serin.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Total string `json:"total"`
	// bad selects the counters of failed requests.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Bad string `json:"bad,omitempty"`
	// good selects the counters of good requests.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Good string `json:"good,omitempty"`
	// arms say how series are told apart; by pod where left out.
	// +optional
	Arms *Arms `json:"arms,omitempty"`
	// objective is the share of bad requests, such as "0.01", above which the
	// canary fails whatever stable does, and below which it is good enough.
	// +kubebuilder:validation:Pattern=`^(0(\.[0-9]{1,6})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +optional
	Objective string `json:"objective,omitempty"`
	// tolerated is how many times stable's ratio the canary's may be.
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +kubebuilder:default="1"
	// +optional
	Tolerated string `json:"tolerated,omitempty"`
	// worse is how many times stable's ratio a canary's must be known to stay
	// below before an Evidence step goes on, such as "5".
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +kubebuilder:default="5"
	// +optional
	Worse string `json:"worse,omitempty"`
	// minRequests of the canary within a step before the check may pass.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=20
	// +optional
	MinRequests int64 `json:"minRequests,omitempty"`
}

// Arms say which series are the canary's and which are stable's, by labels to
// add to each selector, as PromQL matchers such as
// service="ipfs-worker-canary@kubernetes".
type Arms struct {
	// canary's matchers.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Canary string `json:"canary"`
	// stable's matchers.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Stable string `json:"stable"`
}

// LatencyCheck compares the share of slow requests out of a histogram.
type LatencyCheck struct {
	// histogram selects it by its name, without _bucket, such as
	// http_request_duration_seconds{handler="work"}.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Histogram string `json:"histogram"`
	// native, where true, reads a native histogram; a classic one otherwise.
	// +optional
	Native bool `json:"native,omitempty"`
	// bound in the histogram's unit, which by custom is seconds, such as "0.25".
	// It must be a bucket's bound in a classic histogram; in a native one the
	// requests of the bucket that holds it are shared out as PromQL's
	// histogram_fraction does.
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	Bound string `json:"bound"`
	// arms as in ratio.
	// +optional
	Arms *Arms `json:"arms,omitempty"`
	// objective as in ratio.
	// +kubebuilder:validation:Pattern=`^(0(\.[0-9]{1,6})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +optional
	Objective string `json:"objective,omitempty"`
	// tolerated as in ratio.
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +kubebuilder:default="1"
	// +optional
	Tolerated string `json:"tolerated,omitempty"`
	// worse is how many times stable's ratio a canary's must be known to stay
	// below before an Evidence step goes on, such as "5".
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +kubebuilder:default="5"
	// +optional
	Worse string `json:"worse,omitempty"`
	// minRequests of the canary within a step before the check may pass.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=20
	// +optional
	MinRequests int64 `json:"minRequests,omitempty"`
}

// ThresholdCheck compares one number with bounds.
//
// +kubebuilder:validation:XValidation:rule="has(self.min) || has(self.max)",message="a threshold check has min, max or both"
type ThresholdCheck struct {
	// query in PromQL that gives one number; arguments as in templates.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`
	// min is the least that passes.
	// +kubebuilder:validation:Pattern=`^(-?[0-9]+(\.[0-9]+)?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +optional
	Min string `json:"min,omitempty"`
	// max is the most that passes.
	// +kubebuilder:validation:Pattern=`^(-?[0-9]+(\.[0-9]+)?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +optional
	Max string `json:"max,omitempty"`
	// failures among samples fail it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=3
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// samples that are looked back at.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=5
	// +optional
	Samples int32 `json:"samples,omitempty"`
}

// Endpoint is where a pod is asked.
type Endpoint struct {
	// port by number.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// path to get.
	// +kubebuilder:validation:Pattern=`^/`
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:default=/
	// +optional
	Path string `json:"path,omitempty"`
	// timeout of one request.
	// +kubebuilder:default="2s"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// failures among samples fail the check.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=3
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// samples that are looked back at.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=5
	// +optional
	Samples int32 `json:"samples,omitempty"`
}

// HTTPCheck gets a page of every canary pod.
type HTTPCheck struct {
	Endpoint `json:",inline"`
	// service, where true, gets the page by the canary's Service too, at the
	// Service's own port of the same number.
	// +optional
	Service bool `json:"service,omitempty"`
	// expression in CEL over status (int), headers (map), body (string) and json (parsed)
	// that is true of a healthy pod.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:default="status == 200"
	// +optional
	Expression string `json:"expression,omitempty"`
}

// PeersCheck gets every canary pod's list of peers.
type PeersCheck struct {
	Endpoint `json:",inline"`
	// list in CEL over json (the parsed page) gives the peers' names, as strings.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:default="json.Peers.map(p, p.Peer)"
	// +optional
	List string `json:"list,omitempty"`
	// min peers that each pod must have.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:default=1
	// +optional
	Min int32 `json:"min,omitempty"`
	// sharePercent of the median of stable's pods that each must have.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	SharePercent int32 `json:"sharePercent,omitempty"`
	// including selects pods of this namespace, by labels, that must be among
	// the peers: the name that identity gives for such a pod.
	// +optional
	Including *metav1.LabelSelector `json:"including,omitempty"`
	// identity in CEL over json (the parsed page) of the page at identityPath, gives
	// a pod's own name as it is in others' lists.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Identity string `json:"identity,omitempty"`
	// identityPath to get a pod's own name from; path where left out.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	IdentityPath string `json:"identityPath,omitempty"`
	// mutual, where true, wants the pods of including to have the canary pod
	// among their peers as well.
	// +optional
	Mutual bool `json:"mutual,omitempty"`
}

// ResourcesCheck compares what a pod of the canary uses with what one of stable
// does, out of the counters that kubelets give of containers (cAdvisor).
//
// +kubebuilder:validation:XValidation:rule="has(self.cpu) || has(self.memory)",message="a resources check has cpu, memory or both"
type ResourcesCheck struct {
	// cpu in cores: how fast the counter rises.
	// +optional
	CPU *ResourceBound `json:"cpu,omitempty"`
	// memory in bytes, as the gauge says.
	// +optional
	Memory *ResourceBound `json:"memory,omitempty"`
	// failures among samples fail it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=3
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// samples that are looked back at.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=5
	// +optional
	Samples int32 `json:"samples,omitempty"`
}

// ResourceBound says how much more a canary pod may use. The median of the
// canary's pods is compared with the median of stable's.
type ResourceBound struct {
	// ratio to stable's median that a sample must not be above.
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3})?|\$\{[a-zA-Z][a-zA-Z0-9]*\})$`
	// +kubebuilder:default="2"
	// +optional
	Ratio string `json:"ratio,omitempty"`
	// ignoreBelow is a quantity, such as 100m or 64Mi, that a pod may use
	// whatever stable does.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	IgnoreBelow string `json:"ignoreBelow,omitempty"`
	// series selects the counter (cpu) or gauge (memory) of the containers. Serin
	// adds which pods; container_cpu_usage_seconds_total{container!=""} and
	// container_memory_working_set_bytes{container!=""} where left out.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Series string `json:"series,omitempty"`
}

// WebhookCheck posts what is on trial to an outside gate, such as a load test, a
// conformance test or a freeze calendar, as a signed webhook of
// https://www.standardwebhooks.com.
type WebhookCheck struct {
	// url to post to.
	// +kubebuilder:validation:Pattern=`^(https?://[^\s@]+|\$\{[a-zA-Z][a-zA-Z0-9]*\}\S*)$`
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url"`
	// secretRef names a Secret whose secret signs the requests (base64, with or
	// without whsec_ before it) and whose token, if any, is sent as bearer.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// timeout of one request.
	// +kubebuilder:default="10s"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,3})?h)?([0-9]{1,6}(\.[0-9]{1,3})?m)?([0-9]{1,8}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?)$`
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// args are sent along.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	Args map[string]string `json:"args,omitempty"`
	// failures among samples fail it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=1
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// samples that are looked back at.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=1
	// +optional
	Samples int32 `json:"samples,omitempty"`
}
