package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	promsource "github.com/serin-gitops/serin/analysis/prometheus"
)

var gitRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "serin_git_requests_total",
	Help: "Exchanges with Git servers, by operation: list (which branch is where), fetch, push.",
}, []string{"operation"})

var (
	metricQueries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serin_metric_queries_total",
		Help: "Queries to sources of time series, by outcome: answered, failed, withheld (not asked: the source is away).",
	}, []string{"outcome"})
	metricWait = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "serin_metric_query_wait_seconds_total",
		Help: "Time that queries waited for the budget of their source (--prometheus-queries).",
	})
)

// countMetricQuery notes a query to a source of time series.
func countMetricQuery(waited time.Duration, answered bool) {
	outcome := "failed"
	if answered {
		outcome = "answered"
	}
	metricQueries.WithLabelValues(outcome).Inc()
	metricWait.Add(waited.Seconds())
}

// countWithheldQuery notes a query that was not asked, since its source is away.
func countWithheldQuery() { metricQueries.WithLabelValues("withheld").Inc() }

// sourceStates shows which sources of time series are away.
type sourceStates struct{ pool *promsource.Pool }

var sourceAway = prometheus.NewDesc("serin_metric_source_away",
	"1 for a source of time series that does not answer and is only asked now and then, 0 for one that does.", []string{"source"}, nil)

// Describe implements prometheus.Collector.
func (s sourceStates) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- sourceAway }

// Collect implements prometheus.Collector.
func (s sourceStates) Collect(measured chan<- prometheus.Metric) {
	for source, away := range s.pool.Away() {
		value := 0.0
		if away {
			value = 1
		}
		measured <- prometheus.MustNewConstMetric(sourceAway, prometheus.GaugeValue, value, source)
	}
}

func init() { metrics.Registry.MustRegister(gitRequests, metricQueries, metricWait) } //nolint:gochecknoinits // the manager's registry is global

// countGitRequest notes an exchange with a Git server.
func countGitRequest(operation string) { gitRequests.WithLabelValues(operation).Inc() }
