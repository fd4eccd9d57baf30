package rollout

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

var (
	phase = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "serin_rollout_phase", Help: "1 for the phase that a Rollout is in.",
	}, []string{"namespace", "name", "phase"})
	weight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "serin_rollout_weight", Help: "Share of the traffic that a Rollout's canary was given, in percent.",
	}, []string{"namespace", "name"})
	verdicts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serin_rollout_verdicts_total", Help: "Looks at a Rollout's canary, by their verdict and its reason.",
	}, []string{"namespace", "name", "verdict", "reason"})
)

func init() { metrics.Registry.MustRegister(phase, weight, verdicts) }

// measure shows where a Rollout is.
func measure(ro *v1alpha1.Rollout) {
	phase.DeletePartialMatch(prometheus.Labels{"namespace": ro.Namespace, "name": ro.Name})
	phase.WithLabelValues(ro.Namespace, ro.Name, string(ro.Status.Phase)).Set(1)
	weight.WithLabelValues(ro.Namespace, ro.Name).Set(float64(ro.Status.ReachedWeight))
}

// forgetMetrics drops the series of a Rollout that is gone.
func forgetMetrics(key types.NamespacedName) {
	labels := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	phase.DeletePartialMatch(labels)
	weight.DeletePartialMatch(labels)
	verdicts.DeletePartialMatch(labels)
}
