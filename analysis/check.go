package analysis

import (
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
	"github.com/serin-gitops/serin/analysis/usage"
	"github.com/serin-gitops/serin/analysis/workload"
)

// Kind names the question a Check asks.
type Kind string

// The kinds of check.
const (
	// KindRatio compares the share of failed requests of canary and stable.
	KindRatio Kind = "ratio"
	// KindLatency compares the share of requests slower than a bound; it is a
	// ratio check over two buckets of a histogram.
	KindLatency Kind = "latency"
	// KindThreshold compares one number with fixed bounds, N of M samples.
	KindThreshold Kind = "threshold"
	// KindHTTP asks every canary pod by HTTP.
	KindHTTP Kind = "http"
	// KindPeers asks every canary pod for the peers it is connected to.
	KindPeers Kind = "peers"
	// KindWorkload looks at the canary's pods: crashes, image pulls, readiness.
	KindWorkload Kind = "workload"
	// KindResources compares CPU and memory of a pod, N of M samples.
	KindResources Kind = "resources"
	// KindWebhook asks a gate outside, N of M answers.
	KindWebhook Kind = "webhook"
)

// Defaults that apply where a Spec or a Check leaves a field at zero.
const (
	// DefaultAlpha bounds the chance of failing a canary that is no worse than
	// stable, over the whole run and all its statistical checks.
	DefaultAlpha = 0.01
	// DefaultBeta bounds the chance of calling a canary proven that is Worse
	// times worse than stable, or beyond its objective.
	DefaultBeta = 0.05
	// DefaultTolerance is the ratio of failure rates that still counts as equal.
	DefaultTolerance = 1.0
	// DefaultWorse is the ratio of failure rates that proof must exclude.
	DefaultWorse = 5.0
	// DefaultMinRequests is the number of canary requests a step needs before
	// a ratio check may pass.
	DefaultMinRequests = 20
	// DefaultSourceLimit is how long a source may be away before a person is asked.
	DefaultSourceLimit = 30 * time.Minute
	// DefaultFailing and DefaultOf: a probe or threshold check fails when
	// DefaultFailing of the last DefaultOf looks failed.
	DefaultFailing = 3
	DefaultOf      = 5
	// MaxProbeTimeout is the most that one request to a pod may take.
	MaxProbeTimeout = 10 * time.Second
	// DefaultUnreadyLimit is how long a canary pod may stay unready.
	DefaultUnreadyLimit = workload.DefaultUnreadyLimit
	// DefaultInterval is the length of a window and the pause between looks.
	DefaultInterval = 10 * time.Second
)

// Spec is one analysis: the checks and the odds they may be wrong with.
type Spec struct {
	// Alpha is the largest chance of failing a canary that is no worse than
	// stable, for all ratio and latency checks together; 0 means DefaultAlpha.
	Alpha float64 `json:"alpha,omitempty"`
	// Beta is the largest chance of calling a bad canary proven; 0 means DefaultBeta.
	Beta float64 `json:"beta,omitempty"`
	// SourceLimit is how long an outage of a source freezes the clock before
	// the verdict asks for a person; 0 means DefaultSourceLimit.
	SourceLimit time.Duration `json:"sourceLimit,omitempty"`
	// Checks are judged in this order; names are unique.
	Checks []Check `json:"checks"`
}

// Check is one question asked of the running system. Exactly the field that
// Kind names is set.
type Check struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`

	Ratio     *Ratio     `json:"ratio,omitempty"`
	Latency   *Latency   `json:"latency,omitempty"`
	Threshold *Threshold `json:"threshold,omitempty"`
	HTTP      *HTTP      `json:"http,omitempty"`
	Peers     *Peers     `json:"peers,omitempty"`
	Workload  *Workload  `json:"workload,omitempty"`
	Resources *Resources `json:"resources,omitempty"`
	Webhook   *Webhook   `json:"webhook,omitempty"`

	// DryRun checks are measured and reported and never decide.
	DryRun bool `json:"dryRun,omitempty"`
	// InitialDelay ignores everything observed before the trial is this old.
	InitialDelay time.Duration `json:"initialDelay,omitempty"`
	// Interval is the length of a window and the pause between two looks; 0
	// means DefaultInterval.
	Interval time.Duration `json:"interval,omitempty"`
	// Weight is this check's part of alpha and beta relative to the other
	// statistical checks; 0 means 1.
	Weight float64 `json:"weight,omitempty"`
	// NoDataPasses lets a check that has no data pass instead of holding the
	// step. An outage of the source freezes all the same.
	NoDataPasses bool `json:"noDataPasses,omitempty"`
}

// Comparison holds what ratio and latency checks share.
type Comparison struct {
	// Tolerance is r0: the canary may fail this many times as often as stable
	// and still count as equal; 0 means DefaultTolerance.
	Tolerance float64 `json:"tolerance,omitempty"`
	// Worse is r1: proof means that the canary is less than this many times
	// worse than stable; 0 means DefaultWorse.
	Worse float64 `json:"worse,omitempty"`
	// Objective is the failure rate (0 to 1) the canary must keep whatever
	// stable does; 0 means no absolute guard.
	Objective float64 `json:"objective,omitempty"`
	// MinRequests of the canary in a step before the check may pass; 0 means
	// DefaultMinRequests.
	MinRequests float64 `json:"minRequests,omitempty"`
	// Arms tell the series of the two revisions apart where the caller's own
	// way (by pod) does not.
	Arms *Arms `json:"arms,omitempty"`
}

// Arms are PromQL label matchers, such as pod=~"web-6d4cf56db6-.*", that
// select the series of either revision.
type Arms struct {
	Stable string `json:"stable"`
	Canary string `json:"canary"`
}

// Ratio compares failed with all requests, from Prometheus counters. The
// selectors are PromQL instant-vector selectors and may hold placeholders
// (Render); what tells the arms apart is added to them.
type Ratio struct {
	Comparison
	// Total selects the counters of all requests.
	Total string `json:"total"`
	// Bad selects the counters of failed requests, Good those of good ones.
	// Exactly one is set. Where it only narrows Total, one query serves both.
	Bad  string `json:"bad,omitempty"`
	Good string `json:"good,omitempty"`
}

// Latency counts a request as failed when it took longer than Bound.
type Latency struct {
	Comparison
	// Histogram selects a histogram by its name without _bucket.
	Histogram string `json:"histogram"`
	// Native reads a native histogram, with exponential or custom buckets, and
	// not a classic one.
	Native bool `json:"native,omitempty"`
	// Bound in the histogram's unit, by custom seconds. Of a classic histogram it
	// must be the upper bound (le) of a bucket; in a native one, the requests of
	// the bucket that holds it are shared out.
	Bound float64 `json:"bound"`
}

// Threshold compares the one number a PromQL expression gives with bounds.
type Threshold struct {
	// Query is a PromQL expression; it may hold placeholders (Render).
	Query string `json:"query"`
	// Min and Max bound the value, both inclusive; at least one is set.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Failing of the last Of samples out of bounds fail the check; 0 means
	// DefaultFailing of DefaultOf.
	Failing int `json:"failing,omitempty"`
	Of      int `json:"of,omitempty"`
}

// HTTP is a GET on every canary pod.
type HTTP struct {
	Scheme string `json:"scheme,omitempty"`
	Port   int32  `json:"port"`
	Path   string `json:"path,omitempty"`
	Host   string `json:"host,omitempty"`
	// Timeout of one request; 0 means 5 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Expression is CEL over status (int), headers (map of lower-case name to
	// value), body (string) and json (dyn); empty means 200 <= status < 400.
	Expression string `json:"expression,omitempty"`
	// Service asks the canary's Service too.
	Service bool `json:"service,omitempty"`
	Failing int  `json:"failing,omitempty"`
	Of      int  `json:"of,omitempty"`
}

// Peers asks every pod for its peer list and judges the canary's.
type Peers struct {
	Scheme string `json:"scheme,omitempty"`
	Port   int32  `json:"port"`
	Path   string `json:"path"`
	// Method is GET or POST; empty means GET.
	Method string `json:"method,omitempty"`
	// Timeout of one request; 0 means 5 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// List is CEL over status, headers, body and json that gives the list of
	// peer identities (list of string).
	List string `json:"list"`
	// Self asks the pod for its own identity; nil where pods have none.
	Self *Identity `json:"self,omitempty"`
	// Min peers for every canary pod; 0 means no such bound.
	Min int `json:"min,omitempty"`
	// MinShareOfStable is the least share (0 to 1) of the median number of
	// peers of stable's pods; 0 means no such bound.
	MinShareOfStable float64 `json:"minShareOfStable,omitempty"`
	// MustInclude: every canary pod must list the identity of at least one (or
	// all) of the pods given as required.
	MustInclude IncludePolicy `json:"mustInclude,omitempty"`
	// SeenFromOtherSide requires that those pods list the canary pod too.
	SeenFromOtherSide bool `json:"seenFromOtherSide,omitempty"`
	Failing           int  `json:"failing,omitempty"`
	Of                int  `json:"of,omitempty"`
}

// Identity is how a pod says who it is among its peers.
type Identity struct {
	Path string `json:"path"`
	// Method is GET or POST; empty means GET.
	Method string `json:"method,omitempty"`
	// Expression is CEL over status, headers, body and json that gives a string.
	Expression string `json:"expression"`
}

// IncludePolicy says how many of the required pods must be among a canary
// pod's peers.
type IncludePolicy string

// The include policies; the empty policy requires none.
const (
	IncludeAny IncludePolicy = "Any"
	IncludeAll IncludePolicy = "All"
)

// Workload judges the canary's pods themselves.
type Workload = workload.Limits

// Resources bounds what a canary pod uses by what a stable one does.
type Resources = usage.Limits

// Webhook asks a gate or a test outside.
type Webhook struct {
	URL string `json:"url"`
	// Timeout of one request; 0 means 10 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Failing of the last Of answers fail the check; 0 means 1 of 1.
	Failing int `json:"failing,omitempty"`
	Of      int `json:"of,omitempty"`
}

// test is what the comparison tests for, with the defaults filled in.
func (c Comparison) test() evidence.Test {
	t := evidence.Test{Tolerance: DefaultTolerance, Worse: DefaultWorse, Objective: c.Objective}
	if c.Tolerance > 0 {
		t.Tolerance = c.Tolerance
	}
	if c.Worse > 0 {
		t.Worse = c.Worse
	}
	return t
}

func (c Comparison) minRequests() float64 {
	if c.MinRequests > 0 {
		return c.MinRequests
	}
	return DefaultMinRequests
}
