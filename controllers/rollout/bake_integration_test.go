//go:build integration

package rollout_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// busy is a revision that counts requests of its own.
func busy(revision string) []corev1.EnvVar {
	return []corev1.EnvVar{{Name: "MODE", Value: "busy"}, {Name: "REVISION", Value: revision}}
}

// TestIntegrationFailsInTheBake has a revision that is good until it serves alone:
// the objective of a ratio check, over what the sandbox's Prometheus scraped, takes
// it back to the revision before, without a pod of that to compare with.
func TestIntegrationFailsInTheBake(t *testing.T) {
	e := setup(t)
	e.sources = sandboxPrometheus(t)
	e.deploy(2, func(d *appsv1.Deployment, _ *corev1.Service) {
		template := &d.Spec.Template
		template.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
		template.Spec.Containers[0].Env = busy("1")
	})
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Steps, spec.Bake = spec.Steps[1:], metav1.Duration{Duration: time.Hour}
		spec.Analysis.Checks = []v1alpha1.Check{{Name: "errors", Ratio: &v1alpha1.RatioCheck{
			Total: "requests_total", Bad: `requests_total{code="500"}`, Objective: "0.01",
		}}}
	})
	before := e.rollout().Status.Stable.TemplateHash
	e.revise(busy("2")...)
	e.phase(v1alpha1.RolloutBaking)
	e.until("it bakes well, with nothing of stable left", func() (bool, string) {
		ro := e.rollout()
		if ro.Status.Phase != v1alpha1.RolloutBaking {
			t.Fatalf("it is %s: %s", ro.Status.Phase, ro.Status.Message)
		}
		return ro.Status.Verdict == "Pass" && e.workload().Status.Replicas == 2, ro.Status.Verdict + ": " + ro.Status.Message
	})
	for _, pod := range e.pods(false) {
		e.page(pod, "/break")
	}
	note := e.told("RolledBack")
	t.Log(note)
	if !regexp.MustCompile(`check errors: .*canary [0-9]+ of [0-9,]+ requests failed \([0-9.]+%\).*objective`).MatchString(note) {
		t.Errorf("the event says %q, want the numbers and the objective", note)
	}
	e.until("it runs the revision before", func() (bool, string) {
		ro, d := e.rollout(), e.workload()
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable.TemplateHash == before && d.Status.AvailableReplicas == 2 && d.Status.UpdatedReplicas == 2 &&
			cmp.Equal(busy("1"), d.Spec.Template.Spec.Containers[0].Env), ro.Status.Message
	})
	e.atRest()
	// Whoever applies Git brings it once more: it is held, and not tried again.
	stable := e.pods(false)
	e.revise(busy("2")...)
	if ro := e.phase(v1alpha1.RolloutRolledBack); ro.Status.Trial != 1 || ro.Status.Verdict == "Pass" {
		t.Errorf("a revision that failed in the bake was tried again: trial %d, %s", ro.Status.Trial, ro.Status.Verdict)
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
}
