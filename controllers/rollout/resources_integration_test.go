//go:build integration

package rollout_test

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	recording "github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun"
	rolling "github.com/serin-gitops/serin/controllers/rollout"
)

// scraped is the sandbox's Prometheus, which scrapes the kubelet, and pods that ask
// for it.
type scraped struct{ observer observe.Observer }

func (s scraped) Metrics(context.Context, string, *v1alpha1.MetricSource) (analysisrun.Metrics, error) {
	return s, nil
}

func (s scraped) Due(ctx context.Context, check analysis.Check, of analysisrun.Series, state analysis.State, now time.Time) []analysis.Observation {
	return s.observer.Due(ctx, check, observe.Trial(of), state, now)
}

func (s scraped) Past(ctx context.Context, check analysis.Check, of analysisrun.Series, from, to time.Time) ([]analysis.Counts, error) {
	return s.observer.Past(ctx, check, observe.Trial(of), from, to)
}

func sandboxPrometheus(t *testing.T) scraped {
	t.Helper()
	source, err := prometheus.New(prometheus.Options{URL: cmp.Or(os.Getenv("SERIN_PROMETHEUS_URL"), "http://127.0.0.1:19090")})
	if err != nil {
		t.Fatal(err)
	}
	return scraped{observe.Observer{Source: source}}
}

// TestIntegrationResources gives a canary that eats memory and CPU to a check of
// resources, over what the kubelet's cAdvisor says of the pods. cAdvisor knows
// the labels of containers from containerd's usual socket only, which the
// sandbox's is not, so here the series of whole pods are asked for.
func TestIntegrationResources(t *testing.T) {
	e := setup(t)
	e.sources = sandboxPrometheus(t)
	e.deploy(2)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Steps = []v1alpha1.Step{{Weight: 50, Duration: &metav1.Duration{Duration: time.Hour}}}
		spec.Analysis.Checks = []v1alpha1.Check{{
			Name: "usage", Interval: metav1.Duration{Duration: 5 * time.Second}, Resources: &v1alpha1.ResourcesCheck{
				CPU:      &v1alpha1.ResourceBound{IgnoreBelow: "50m", Series: "container_cpu_usage_seconds_total"},
				Memory:   &v1alpha1.ResourceBound{IgnoreBelow: "32Mi", Series: "container_memory_working_set_bytes"},
				Failures: 2, Samples: 3,
			}}}
	})
	e.revise(corev1.EnvVar{Name: "MODE", Value: "hungry"})
	ro := e.phase(v1alpha1.RolloutRolledBack)
	for _, want := range []string{"memory ", "CPU ", "a pod, stable "} {
		if !strings.Contains(ro.Status.Failure, want) {
			t.Errorf("it failed because %q, want %q", ro.Status.Failure, want)
		}
	}
	t.Log(ro.Status.Failure)

	var run v1alpha1.AnalysisRun
	if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: e.namespace, Name: rolling.RunName(ro.Name, ro.Status.Trial)}, &run); err != nil {
		t.Fatal(err)
	}
	again, err := recording.Rejudge(run.Status.Record)
	if err != nil {
		t.Fatal(err)
	}
	state, err := json.Marshal(again.State)
	if err != nil || recording.Pack(string(state)) != run.Status.State || again.Verdict.Outcome != analysis.Fail {
		t.Errorf("judged again it is %s: %s (%v)", again.Verdict.Outcome, again.Verdict.Message, err)
	}
}
