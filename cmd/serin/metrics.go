package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var gitRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "serin_git_requests_total",
	Help: "Exchanges with Git servers, by operation: list (which branch is where), fetch, push.",
}, []string{"operation"})

func init() { metrics.Registry.MustRegister(gitRequests) } //nolint:gochecknoinits // the manager's registry is global

// countGitRequest notes an exchange with a Git server.
func countGitRequest(operation string) { gitRequests.WithLabelValues(operation).Inc() }
