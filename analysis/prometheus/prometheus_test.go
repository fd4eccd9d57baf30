package prometheus_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
)

const binary = "/usr/bin/prometheus"

// pod is a program that counts what it does.
type pod struct {
	name     string
	server   *httptest.Server
	requests *promclient.CounterVec
	duration promclient.Histogram
	// native measures the same as duration.
	native promclient.Histogram
}

func startPod(t *testing.T, name string) *pod {
	t.Helper()
	registry := promclient.NewRegistry()
	p := &pod{
		name:     name,
		requests: promclient.NewCounterVec(promclient.CounterOpts{Name: "work_requests_total"}, []string{"code"}),
		duration: promclient.NewHistogram(promclient.HistogramOpts{Name: "work_seconds", Buckets: []float64{0.1, 0.5, 1}}),
		native:   promclient.NewHistogram(promclient.HistogramOpts{Name: "work_native_seconds", NativeHistogramBucketFactor: 1.1}),
	}
	registry.MustRegister(p.requests, p.duration, p.native)
	p.server = httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *pod) serve(good, bad, slow int) {
	p.requests.WithLabelValues("200").Add(float64(good))
	if bad > 0 {
		p.requests.WithLabelValues("500").Add(float64(bad))
	}
	for i := range good + bad {
		took := 0.2
		if i < slow {
			took = 0.7
		}
		p.duration.Observe(took)
		p.native.Observe(took)
	}
}

// server is a real Prometheus on loopback.
type server struct {
	url     string
	dir     string
	address string
	stop    func()
}

// startPrometheus runs the real server, scraping the pods every second, until
// the test ends.
func startPrometheus(t *testing.T, pods ...*pod) *server {
	t.Helper()
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%s is needed by this test: install Debian's package prometheus: %v", binary, err)
	}
	var targets strings.Builder
	for _, p := range pods {
		fmt.Fprintf(&targets, "  - targets: [%q]\n    labels: {pod: %q}\n", strings.TrimPrefix(p.server.URL, "http://"), p.name)
	}
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: work\n  static_configs:\n" + targets.String()
	s := &server{dir: t.TempDir(), address: freeAddress(t)}
	s.url = "http://" + s.address
	if err := os.WriteFile(filepath.Join(s.dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() { s.stop() })
	return s
}

// start starts the server, again after a stop with the same data.
func (s *server) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(binary, "--config.file="+filepath.Join(s.dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(s.dir, "data"), "--web.listen-address="+s.address, "--log.level=error",
		"--enable-feature=native-histograms")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed on purpose
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func newClient(t *testing.T, o prometheus.Options) *prometheus.Client {
	t.Helper()
	c, err := prometheus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits for a condition with a pause between two tries.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(90 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		case <-ticker.C:
		}
	}
}

// waitScraped waits until both pods were scraped a few times.
func waitScraped(t *testing.T, client *prometheus.Client) {
	t.Helper()
	eventually(t, "both pods were scraped a few times", func() bool {
		for _, name := range []string{"stable-1", "canary-1"} {
			n, err := client.Value(t.Context(), analysis.ValueQuery{Expression: `sum(count_over_time(up{pod="` + name + `"}[1m]))`, At: time.Now()})
			if err != nil || n < 5 {
				return false
			}
		}
		return true
	})
}

// trial is the one the tests observe.
var trial = observe.Trial{Arms: analysis.Arms{Stable: `pod=~"stable-.*"`, Canary: `pod=~"canary-.*"`}}

func checks() []analysis.Check {
	return []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Interval: 2 * time.Second, Ratio: &analysis.Ratio{
			Total: `work_requests_total`, Bad: `work_requests_total{code=~"5.."}`}},
		{Name: "slow", Kind: analysis.KindLatency, Interval: 2 * time.Second, Latency: &analysis.Latency{
			Histogram: `work_seconds`, Bound: 0.5}},
		{Name: "slow-native", Kind: analysis.KindLatency, Interval: 2 * time.Second, Latency: &analysis.Latency{
			Histogram: `work_native_seconds`, Native: true, Bound: 0.5}},
	}
}

// TestGroundTruth serves known requests while a real Prometheus scrapes, and
// wants the windows' counts to sum up to exactly what was served.
func TestGroundTruth(t *testing.T) {
	t.Parallel()
	stable, canary := startPod(t, "stable-1"), startPod(t, "canary-1")
	// Counters that stood before the trial must not be counted.
	stable.serve(1000, 10, 5)
	canary.serve(0, 0, 0)
	client := newClient(t, prometheus.Options{URL: startPrometheus(t, stable, canary).url})
	waitScraped(t, client)

	spec := analysis.Spec{Checks: checks()}
	state := analysis.NewState(time.Now())
	observer := observe.Observer{Source: client}
	var mu sync.Mutex
	served := map[string]analysis.Counts{}
	var verdict analysis.Verdict
	look := func() {
		now := time.Now()
		var all []analysis.Observation
		for _, c := range spec.Checks {
			all = append(all, observer.Due(t.Context(), c, trial, state, now)...)
		}
		state, verdict = analysis.Judge(spec, state, all, now)
	}
	serve := func(p *pod, good, bad int) {
		mu.Lock()
		defer mu.Unlock()
		p.serve(good, bad, bad)
		arm := p.name[:6]
		served[arm] = analysis.Counts{Total: served[arm].Total + float64(good+bad), Failed: served[arm].Failed + float64(bad)}
	}
	rounds := 0
	eventually(t, "six rounds were served and judged", func() bool {
		look()
		if rounds < 20 {
			rounds++
			serve(stable, 50, rounds%2)
			serve(canary, 5, rounds%3/2)
			return false
		}
		return true
	})
	same := func() bool {
		look()
		for _, c := range verdict.Checks {
			if c.Stable == nil || *c.Stable != served["stable"] || *c.Canary != served["canary"] {
				return false
			}
		}
		return true
	}
	t.Cleanup(func() { t.Logf("served %+v, last verdict: %+v", served, verdict) })
	eventually(t, fmt.Sprintf("the windows count exactly %+v", served), same)
	past, err := observer.Past(t.Context(), spec.Checks[0], trial, state.Started.Add(-10*time.Second), state.Checks[0].Through)
	var sum analysis.Counts
	for _, c := range past {
		sum.Add(c)
	}
	if err != nil || sum != served["stable"] {
		t.Errorf("the past counts %+v, %v; want %+v", sum, err, served["stable"])
	}
	// Later windows add nothing.
	for _, check := range spec.Checks {
		eventually(t, "an idle window is scraped", func() bool {
			idle := observer.Window(t.Context(), check, trial, analysis.Window{Start: state.Checks[0].Through, End: time.Now()})
			if idle.Absence != nil {
				return false
			}
			if nothing := (analysis.Counts{}); *idle.Stable != nothing || *idle.Canary != nothing {
				t.Errorf("an idle window of check %s counts %+v and %+v", check.Name, *idle.Stable, *idle.Canary)
			}
			return true
		})
	}
}

// TestOutageFreezesAndThaws kills Prometheus in the middle of a trial and
// starts it again: the verdict freezes, never fails, and goes on counting.
func TestOutageFreezesAndThaws(t *testing.T) {
	t.Parallel()
	stable, canary := startPod(t, "stable-1"), startPod(t, "canary-1")
	stable.serve(10, 0, 0)
	canary.serve(10, 0, 0)
	prom := startPrometheus(t, stable, canary)
	client := newClient(t, prometheus.Options{URL: prom.url})
	waitScraped(t, client)
	spec := analysis.Spec{Checks: checks()[:1]}
	state := analysis.NewState(time.Now())
	look := func() analysis.Verdict {
		stable.serve(50, 0, 0)
		canary.serve(5, 0, 0)
		now := time.Now()
		var v analysis.Verdict
		state, v = analysis.Judge(spec, state, observe.Observer{Source: client}.Due(t.Context(), spec.Checks[0], trial, state, now), now)
		if v.Outcome == analysis.Fail {
			t.Fatalf("the canary failed: %+v", v)
		}
		return v
	}
	eventually(t, "the check passes", func() bool { return look().Outcome == analysis.Pass })
	prom.stop()
	eventually(t, "the outage freezes the clock", func() bool {
		v := look()
		return v.Freeze && v.Outcome == analysis.Inconclusive && v.Reason == analysis.ReasonSourceOutage
	})
	before := state.Checks[0].Ratio.Canary.Total
	prom.start(t)
	eventually(t, "the check passes again and counts on", func() bool {
		v := look()
		return v.Outcome == analysis.Pass && !v.Freeze && state.Checks[0].Ratio.Canary.Total > before
	})
}

func TestErrorsAreToldApart(t *testing.T) {
	t.Parallel()
	p := startPod(t, "stable-1")
	p.serve(1, 0, 0)
	client := newClient(t, prometheus.Options{URL: startPrometheus(t, p).url})
	up := func() bool {
		n, err := client.Value(t.Context(), analysis.ValueQuery{Expression: `sum(work_requests_total)`, At: time.Now()})
		return err == nil && n == 1
	}
	eventually(t, "the pod is scraped", up)
	for _, tc := range []struct {
		query string
		kind  analysis.AbsenceKind
		text  string
	}{
		{`sum(nothing_of_this_name)`, analysis.NoData, "gave nothing"},
		{`sum(`, analysis.BadQuery, "parse error"},
		{`work_seconds_bucket`, analysis.BadQuery, "aggregate"},
	} {
		t.Run(tc.query, func(t *testing.T) {
			_, err := client.Value(t.Context(), analysis.ValueQuery{Expression: tc.query, At: time.Now()})
			wantAbsence(t, err, tc.kind, tc.text)
		})
	}
	series, err := client.Series(t.Context(), analysis.SeriesQuery{Selector: `{__name__="nothing"}`, Start: time.Now().Add(-time.Minute), End: time.Now()})
	if err != nil || len(series) != 0 {
		t.Errorf("a selector without series gave %v, %v; want nothing", series, err)
	}
}

// TestOutage covers servers that are away, broken, partial or refuse.
func TestOutage(t *testing.T) {
	secret := "s3cret-token"
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		kind    analysis.AbsenceKind
		text    string
	}{
		{"server error", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "boom "+secret, http.StatusServiceUnavailable)
		}, analysis.Outage, "503"},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, analysis.Outage, "bad_response"},
		{"denied", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }, analysis.Outage, "credentials"},
		{"partial", answer(`{"status":"success","warnings":["a store is away ` + secret + `"],"data":{"resultType":"vector","result":[]}}`), analysis.Partial, "a store is away (redacted)"},
		{"empty", answer(`{"status":"success","data":{"resultType":"vector","result":[]}}`), analysis.NoData, "nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			client := newClient(t, prometheus.Options{URL: server.URL, Token: secret})
			_, err := client.Value(t.Context(), analysis.ValueQuery{Expression: "up", At: time.Now()})
			wantAbsence(t, err, tc.kind, tc.text)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	away := newClient(t, prometheus.Options{URL: "http://user:" + secret + "@" + freeAddress(t)})
	_, err := away.Value(t.Context(), analysis.ValueQuery{Expression: "up", At: time.Now()})
	wantAbsence(t, err, analysis.Outage, "refused")
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error holds the secret: %v", err)
	}
}

// TestAuthenticationAndSharing wants credentials and headers sent, and one
// request for identical questions.
func TestAuthenticationAndSharing(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		answer(`{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`)(w, r)
	}))
	defer server.Close()
	client := newClient(t, prometheus.Options{URL: server.URL, Username: "serin", Password: "hunter22", Headers: map[string]string{"X-Scope-OrgID": "team-a"}})
	at := time.Now()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if n, err := client.Value(t.Context(), analysis.ValueQuery{Expression: "scalar(x)", At: at}); err != nil || n != 7 {
				t.Errorf("got %v, %v; want 7", n, err)
			}
		})
	}
	group.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 {
		t.Errorf("20 identical questions made %d requests, want 1", len(seen))
	}
	if got := seen[0].Get("Authorization"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("Authorization is %q, want basic", got)
	}
	if got := seen[0].Get("X-Scope-OrgID"); got != "team-a" {
		t.Errorf("X-Scope-OrgID is %q, want team-a", got)
	}
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func wantAbsence(t *testing.T, err error, kind analysis.AbsenceKind, text string) {
	t.Helper()
	var absence *analysis.Absence
	if !errors.As(err, &absence) {
		t.Fatalf("error is %v, want an Absence", err)
	}
	if absence.Kind != kind || !strings.Contains(absence.Message, text) {
		t.Errorf("got %s: %s; want %s with %q", absence.Kind, absence.Message, kind, text)
	}
}

// TestLooksMoreFrequentThanScrapes looks at windows of 200 ms, five of
// which pass between two scrapes: the verdict stays a pass.
func TestLooksMoreFrequentThanScrapes(t *testing.T) {
	t.Parallel()
	stable, canary := startPod(t, "stable-1"), startPod(t, "canary-1")
	stable.serve(100, 0, 0)
	canary.serve(100, 0, 0)
	client := newClient(t, prometheus.Options{URL: startPrometheus(t, stable, canary).url})
	waitScraped(t, client)
	spec := analysis.Spec{Checks: checks()[:1]}
	spec.Checks[0].Interval = 200 * time.Millisecond
	state := analysis.NewState(time.Now())
	passed, counted, last := false, 0, time.Time{}
	eventually(t, "five windows are counted", func() bool {
		stable.serve(50, 0, 0)
		canary.serve(10, 0, 0)
		now := time.Now()
		var v analysis.Verdict
		state, v = analysis.Judge(spec, state, observe.Observer{Source: client}.Due(t.Context(), spec.Checks[0], trial, state, now), now)
		if passed && v.Reason == analysis.ReasonNoData {
			t.Fatalf("between two scrapes: %+v", v)
		}
		passed = passed || v.Outcome == analysis.Pass
		if state.Checks[0].Through.After(last) {
			counted, last = counted+1, state.Checks[0].Through
		}
		return counted >= 5
	})
}

// TestDisorderedAnswers wants samples in order, once, and within the window,
// and series once and in the order of their labels, whatever a server sends.
func TestDisorderedAnswers(t *testing.T) {
	server := httptest.NewServer(answer(`{"status":"success","data":{"resultType":"matrix","result":[
		{"metric":{"pod":"b"},"values":[[1003,"3"],[1001,"1"],[1001,"1"],[1000,"0"],[1011,"9"]]},
		{"metric":{"pod":"c"},"values":[[990,"1"]]},
		{"metric":{"pod":"b"},"values":[[1001,"1"],[1002,"2"]]},
		{"metric":{"pod":"a"},"values":[[1005,"NaN"],[1010,"7"]]}]}}`))
	defer server.Close()
	client := newClient(t, prometheus.Options{URL: server.URL})
	got, err := client.Series(t.Context(), analysis.SeriesQuery{Selector: "x", Start: time.Unix(1000, 0), End: time.Unix(1010, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, s := range got {
		for _, v := range s.Samples {
			text = append(text, fmt.Sprintf("%s@%d=%g", s.Labels["pod"], v.Time.Unix(), v.Value))
		}
	}
	want := "a@1005=NaN a@1010=7 b@1001=1 b@1002=2 b@1003=3"
	if joined := strings.Join(text, " "); joined != want {
		t.Errorf("got %s, want %s", joined, want)
	}
}
