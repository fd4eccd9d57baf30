package promotion

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

var (
	promotions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serin_promotions_total",
		Help: "Promotions that ended, by pipeline, environment and outcome (the phase they ended in).",
	}, []string{"namespace", "pipeline", "environment", "outcome"})
	promotionSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "serin_promotion_seconds",
		Help:    "Time from a Promotion's creation to its end, in seconds; waiting for people is part of it.",
		Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600},
	}, []string{"namespace", "pipeline", "environment", "outcome"})
)

func init() { metrics.Registry.MustRegister(promotions, promotionSeconds) } //nolint:gochecknoinits // the manager's registry is global

// count notes the end of a Promotion.
func count(p *v1alpha1.Promotion) {
	labels := []string{p.Namespace, p.Spec.Pipeline, p.Spec.Environment, string(p.Status.Phase)}
	promotions.WithLabelValues(labels...).Inc()
	if p.Status.Completed != nil {
		promotionSeconds.WithLabelValues(labels...).Observe(p.Status.Completed.Sub(p.CreationTimestamp.Time).Seconds())
	}
}
