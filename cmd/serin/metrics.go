package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var gitRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "serin_git_requests_total",
	Help: "Exchanges with Git servers, by operation: list (which branch is where), fetch, push.",
}, []string{"operation"})

var (
	metricQueries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serin_metric_queries_total",
		Help: "Queries to sources of time series, by outcome: answered, failed.",
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

func init() { metrics.Registry.MustRegister(gitRequests, metricQueries, metricWait) } //nolint:gochecknoinits // the manager's registry is global

// countGitRequest notes an exchange with a Git server.
func countGitRequest(operation string) { gitRequests.WithLabelValues(operation).Inc() }
