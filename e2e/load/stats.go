package load

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Stats are the counts of a load so far.
type Stats struct {
	// Target is the URL that is requested.
	Target string `json:"target"`
	// Started is when the first request was due, Updated when these counts were taken.
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
	// Done is true once the load has reached its bound and no request runs.
	Done bool `json:"done"`
	// Requests counts what was answered or failed; Failed those of them that
	// ended with a status of 500 or above, or without an answer.
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// Versions are the counts by the version that answered (X-Version), in
	// order; version "" stands for requests that nobody answered.
	Versions []VersionStats `json:"versions"`
}

// VersionStats are the counts of the requests that one version answered.
type VersionStats struct {
	Version  string `json:"version"`
	Requests int64  `json:"requests"`
	Failed   int64  `json:"failed"`
	// FirstSeen is when this version's first answer came, LastSeen the latest.
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	// FirstFailed and LastFailed bound its failures; nil without one.
	FirstFailed *time.Time `json:"firstFailed,omitempty"`
	LastFailed  *time.Time `json:"lastFailed,omitempty"`
	// Pods are the counts by pod (X-Served-By) and outcome, in order.
	Pods []PodStats `json:"pods"`
}

// PodStats counts the requests with one outcome that one pod answered.
type PodStats struct {
	Pod string `json:"pod"`
	// Outcome is the status code ("200"), or why there was no answer:
	// "connect", "timeout" or "broken".
	Outcome  string `json:"outcome"`
	Requests int64  `json:"requests"`
}

// Version are the counts of one version; all zero when it never answered.
func (s Stats) Version(version string) VersionStats {
	for _, v := range s.Versions {
		if v.Version == version {
			return v
		}
	}
	return VersionStats{Version: version}
}

// result is how one request ended.
type result struct {
	version, pod, outcome string
	failed                bool
	at                    time.Time
}

// add counts one result.
func (s *Stats) add(r result) {
	s.Requests++
	i, found := slices.BinarySearchFunc(s.Versions, r.version, func(v VersionStats, version string) int {
		return cmp.Compare(v.Version, version)
	})
	if !found {
		s.Versions = slices.Insert(s.Versions, i, VersionStats{Version: r.version, FirstSeen: r.at, LastSeen: r.at})
	}
	v := &s.Versions[i]
	v.Requests++
	v.FirstSeen, v.LastSeen = earlier(v.FirstSeen, r.at), later(v.LastSeen, r.at)
	v.addPod(r.pod, r.outcome)
	if !r.failed {
		return
	}
	s.Failed++
	v.Failed++
	if v.FirstFailed == nil {
		first, last := r.at, r.at
		v.FirstFailed, v.LastFailed = &first, &last
		return
	}
	*v.FirstFailed, *v.LastFailed = earlier(*v.FirstFailed, r.at), later(*v.LastFailed, r.at)
}

func (v *VersionStats) addPod(pod, outcome string) {
	wanted := PodStats{Pod: pod, Outcome: outcome}
	i, found := slices.BinarySearchFunc(v.Pods, wanted, func(a, b PodStats) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Outcome, b.Outcome))
	})
	if !found {
		v.Pods = slices.Insert(v.Pods, i, wanted)
	}
	v.Pods[i].Requests++
}

// clone copies all that later results change.
func (s Stats) clone() Stats {
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		v := &s.Versions[i]
		v.Pods = slices.Clone(v.Pods)
		if v.FirstFailed != nil {
			first, last := *v.FirstFailed, *v.LastFailed
			v.FirstFailed, v.LastFailed = &first, &last
		}
	}
	return s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const (
	maxStats    = 4 << 20
	statTimeout = 10 * time.Second
)

// ClientOption changes how Load reaches a generator.
type ClientOption func(*http.Client)

// WithTransport lets Load reach a generator through transport, such as one
// that dials into a cluster.
func WithTransport(transport http.RoundTripper) ClientOption {
	return func(c *http.Client) { c.Transport = transport }
}

// Load reads the counts that a running generator serves; url is its address
// ("http://10.0.0.9:8090").
func Load(ctx context.Context, url string, options ...ClientOption) (Stats, error) {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 3
	client.RetryWaitMin = 100 * time.Millisecond
	client.HTTPClient.Timeout = statTimeout
	for _, option := range options {
		option(client.HTTPClient)
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, url+"/stats", nil)
	if err != nil {
		return Stats{}, fmt.Errorf("read the load's counts: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return Stats{}, fmt.Errorf("read the load's counts: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStats))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return Stats{}, fmt.Errorf("read the load's counts from %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return Stats{}, fmt.Errorf("read the load's counts from %s: HTTP status %d", url, response.StatusCode)
	}
	var stats Stats
	if err := json.Unmarshal(body, &stats); err != nil {
		return Stats{}, fmt.Errorf("read the load's counts from %s: %w", url, err)
	}
	return stats, nil
}
