package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const patience = 90 * time.Second

// serve answers as a stable pod would, except every third request, which a
// failing canary answers.
func serve(t *testing.T, connections *atomic.Int64) string {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			connections.Add(1)
		}
		if requests.Add(1)%3 == 0 {
			w.Header().Set("X-Version", "v2")
			w.Header().Set("X-Served-By", "canary-0")
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Version", "v1")
		w.Header().Set("X-Served-By", "stable-0")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func generator(t *testing.T, options Options) *Generator {
	t.Helper()
	g, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCountsByVersionPodAndOutcome(t *testing.T) {
	var closing atomic.Int64
	g := generator(t, Options{URL: serve(t, &closing), Rate: MaxRate, Count: 300, Timeout: patience})
	g.Run(t.Context())

	page := httptest.NewServer(g.Handler())
	t.Cleanup(page.Close)
	got, err := Load(t.Context(), page.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := Stats{Target: g.options.URL, Done: true, Requests: 300, Failed: 100, Versions: []VersionStats{
		{Version: "v1", Requests: 200, Pods: []PodStats{{Pod: "stable-0", Outcome: "200", Requests: 200}}},
		{Version: "v2", Requests: 100, Failed: 100, Pods: []PodStats{{Pod: "canary-0", Outcome: "500", Requests: 100}}},
	}}
	times := cmpopts.IgnoreTypes(time.Time{}, &time.Time{})
	if diff := cmp.Diff(want, got, times); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	bad := got.Version("v2")
	if bad.FirstFailed == nil || bad.LastFailed == nil || bad.FirstFailed.After(*bad.LastFailed) || bad.FirstFailed.Before(got.Started) {
		t.Errorf("failures of v2 are from %v to %v, the load started %v", bad.FirstFailed, bad.LastFailed, got.Started)
	}
	if good := got.Version("v1"); good.FirstFailed != nil {
		t.Errorf("v1 failed first at %v, want never", good.FirstFailed)
	}
	if closing.Load() != 300 {
		t.Errorf("%d of 300 requests had a connection of their own", closing.Load())
	}
}

func TestUnansweredRequestsFail(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	gone := server.URL
	server.Close()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	breaking := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(breaking.Close)
	tests := map[string]struct {
		url, want string
		timeout   time.Duration
	}{
		"connect": {gone, "connect", time.Minute},
		"timeout": {hanging.URL, "timeout", time.Second},
		"broken":  {breaking.URL, "broken", time.Minute},
		"public":  {"http://192.0.2.1/", "connect", time.Minute}, // refused before a packet leaves
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := generator(t, Options{URL: test.url, Rate: 100, Count: 2, Timeout: test.timeout})
			g.Run(t.Context())
			want := []VersionStats{{Requests: 2, Failed: 2, Pods: []PodStats{{Outcome: test.want, Requests: 2}}}}
			if diff := cmp.Diff(want, g.Stats().Versions, cmpopts.IgnoreTypes(time.Time{}, &time.Time{})); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyPrivateAddressesAreLoaded(t *testing.T) {
	for address, allowed := range map[string]bool{
		"127.0.0.1:80": true, "10.1.2.3:80": true, "192.168.0.1:80": true, "[::1]:80": true, "[::ffff:10.0.0.1]:80": true,
		"192.0.2.1:80": false, "8.8.8.8:80": false, "[2001:db8::1]:80": false,
	} {
		if err := onlyPrivate(t.Context(), "tcp", address, nil); (err == nil) != allowed {
			t.Errorf("%s: got error %v, want allowed %v", address, err, allowed)
		}
	}
}

func TestLoadEndsWithItsContextOrDuration(t *testing.T) {
	var connections atomic.Int64
	url := serve(t, &connections)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := generator(t, Options{URL: url, Rate: 1, Count: MaxCount})
	stopped.Run(cancelled)
	short := generator(t, Options{URL: url, Rate: 200, Duration: 100 * time.Millisecond})
	short.Run(t.Context())
	if got := stopped.Stats(); got.Requests != 0 || !got.Done {
		t.Errorf("a cancelled load: %+v", got)
	}
	if got := short.Stats(); got.Requests > 21 || !got.Done {
		t.Errorf("200 requests/s for 0.1 s: %d requests, want at most 21", got.Requests)
	}
}

func TestNewRefuses(t *testing.T) {
	const url = "http://127.0.0.1:1/work"
	tests := map[string]struct {
		options Options
		want    string
	}{
		"no bound":      {Options{URL: url, Rate: 1}, "no bound"},
		"no rate":       {Options{URL: url, Count: 1}, "rate 0"},
		"too fast":      {Options{URL: url, Rate: MaxRate + 1, Count: 1}, "rate 1001"},
		"too long":      {Options{URL: url, Rate: 1, Duration: MaxDuration + 1}, "duration"},
		"too many":      {Options{URL: url, Rate: 1, Count: MaxCount + 1}, "count"},
		"not http":      {Options{URL: "ftp://127.0.0.1", Rate: 1, Count: 1}, "url"},
		"no host":       {Options{URL: "/work", Rate: 1, Count: 1}, "url"},
		"negative wait": {Options{URL: url, Rate: 1, Count: 1, Timeout: -1}, "timeout"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := New(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	var connections atomic.Int64
	g := generator(t, Options{URL: serve(t, &connections), Rate: MaxRate, Count: 6, Timeout: patience})
	g.Run(t.Context())
	recorder := httptest.NewRecorder()
	g.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`load_requests_total{outcome="200",pod="stable-0",version="v1"} 4`,
		`load_requests_total{outcome="500",pod="canary-0",version="v2"} 2`,
	} {
		if !strings.Contains(recorder.Body.String(), want+"\n") {
			t.Errorf("/metrics lacks %q:\n%s", want, recorder.Body)
		}
	}
}

func TestLoadTellsWhereItFailed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	if _, err := Load(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), server.URL) || !strings.Contains(err.Error(), "404") {
		t.Errorf("got error %v, want one with the address and the status", err)
	}
}
