package sourcetest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/serin-gitops/serin/analysis"
)

// Names of what programs show. Bad requests are slow ones too: they take longer
// than bound, a bound of buckets of both kinds.
const (
	requests = "work_requests_total"
	classic  = "work_seconds"
	native   = "work_native_seconds"
	bound    = 0.5
)

// Program counts what it does and shows it at /metrics.
type Program struct {
	name   string
	labels map[string]string
	server *httptest.Server

	// born is when it was started first, as that of a pod whose container restarts.
	born time.Time

	mu sync.Mutex
	// hidden programs fail their scrapes.
	hidden   bool
	page     http.Handler
	requests *prometheus.CounterVec
	seconds  [2]prometheus.Histogram
	// since is what it counted since it began, shown by code, and changed when it
	// counted last.
	since   map[string]float64
	changed time.Time
	// served is what it counted in all its lives.
	served analysis.Counts
}

func startProgram(t *testing.T, name string, labels map[string]string) *Program {
	t.Helper()
	p := &Program{name: name, labels: labels, born: time.Now()}
	p.Restart()
	p.server = httptest.NewServer(http.HandlerFunc(p.show))
	t.Cleanup(p.server.Close)
	return p
}

func (p *Program) show(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	hidden, page := p.hidden, p.page
	p.mu.Unlock()
	if hidden {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	page.ServeHTTP(w, r)
}

// Restart begins again: all counters are at 0.
func (p *Program) Restart() {
	registry := prometheus.NewRegistry()
	counters := prometheus.NewCounterVec(prometheus.CounterOpts{Name: requests}, []string{"code"})
	seconds := [2]prometheus.Histogram{
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: classic, Buckets: []float64{0.1, bound, 1}}),
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: native, NativeHistogramBucketFactor: 1.1}),
	}
	registry.MustRegister(counters, seconds[0], seconds[1])
	counters.WithLabelValues("200")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = time.Now()
	p.requests, p.seconds, p.since = counters, seconds, map[string]float64{"200": 0}
	p.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Serve counts requests. A code that was never answered has no series.
func (p *Program) Serve(good, bad int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for code, n := range map[string]int{"200": good, "500": bad} {
		if n > 0 {
			p.requests.WithLabelValues(code).Add(float64(n))
			p.since[code] += float64(n)
		}
	}
	for i := range good + bad {
		took := 0.2
		if i < bad {
			took = 0.7
		}
		p.seconds[0].Observe(took)
		p.seconds[1].Observe(took)
	}
	p.changed = time.Now()
	p.served.Add(analysis.Counts{Total: float64(good + bad), Failed: float64(bad)})
}

// Hide fails the program's scrapes, or no longer.
func (p *Program) Hide(hidden bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hidden = hidden
}

// state is what the program shows now, and since when.
func (p *Program) state() (since map[string]float64, changed time.Time, served analysis.Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.since), p.changed, p.served
}

func (p *Program) target() Target {
	return Target{Address: strings.TrimPrefix(p.server.URL, "http://"), Labels: p.labels}
}

// selector matches the program's series of one metric.
func (p *Program) selector(metric string) string {
	return fmt.Sprintf("%s{trial=%q,pod=%q}", metric, p.labels["trial"], p.name)
}
