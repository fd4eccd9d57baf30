package load

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the counts as JSON at /stats, as Prometheus metrics at
// /metrics, and 200 at /health.
func (g *Generator) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{g})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// An error here is the client's having gone away.
		_ = json.NewEncoder(w).Encode(g.Stats())
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// requestsDesc describes the one metric.
var requestsDesc = prometheus.NewDesc("load_requests_total",
	"Requests sent, by the version and pod that answered and by outcome (status code or kind of failure).",
	[]string{"version", "pod", "outcome"}, nil)

// collector tells the counts of a Generator to Prometheus.
type collector struct{ generator *Generator }

// Describe implements prometheus.Collector.
func (collector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- requestsDesc }

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, version := range c.generator.Stats().Versions {
		for _, pod := range version.Pods {
			metrics <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(pod.Requests),
				version.Version, pod.Pod, pod.Outcome)
		}
	}
}
