//go:build integration

package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/traffic/traffictest"
)

// route gives the workload an HTTPRoute, whose gateway this test plays until its
// end, and a way to read its rules.
func (e *env) route() func() any {
	e.t.Helper()
	if err := e.cluster().ApplyRouteKinds(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": e.namespace, "name": "app"},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "edge"}},
			"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": "app", "port": int64(8080)}}}},
		},
	}}
	e.until("the route is made", func() (bool, string) {
		err := e.client.Create(e.t.Context(), route)
		return err == nil, fmt.Sprint(err)
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			if err := traffictest.Accept(ctx, e.client, route.DeepCopy()); err != nil && ctx.Err() == nil {
				e.t.Errorf("accept the route: %v", err)
			}
		}, 500*time.Millisecond)
	}()
	e.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() any {
		e.t.Helper()
		now := route.DeepCopy()
		if err := e.client.Get(e.t.Context(), client.ObjectKeyFromObject(route), now); err != nil {
			e.t.Fatal(err)
		}
		return now.Object["spec"]
	}
}

// TestIntegrationServiceIsAsked asks the canary's Service beside the pods. It leads
// to another of their ports: one revision answers well at both, the next at its
// own only, which the pods alone would not show.
func TestIntegrationServiceIsAsked(t *testing.T) {
	e := setup(t)
	rules := e.route()
	e.deploy(2, func(d *appsv1.Deployment, s *corev1.Service) {
		probe := &corev1.Probe{PeriodSeconds: 1}
		probe.HTTPGet = &corev1.HTTPGetAction{Port: intstr.FromInt32(8080)}
		d.Spec.Template.Spec.Containers[0].ReadinessProbe = probe
		s.Spec.Ports = []corev1.ServicePort{{Port: 8080, TargetPort: intstr.FromInt32(8081)}}
	})
	e.run()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Traffic.RouteRef = &v1alpha1.RouteReference{Kind: "HTTPRoute", Name: "app"}
		spec.Steps[0].Duration = &metav1.Duration{Duration: time.Hour}
		spec.Analysis.Checks = []v1alpha1.Check{{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 8080}, Service: true}}}
	})
	before, atRest := e.rollout().Status.Stable.TemplateHash, rules()
	e.trial("2")
	e.until("the canary is asked by its Service, and passes", func() (bool, string) {
		ro := e.rollout()
		text := e.page(e.pods(true)[0], "/metrics")
		return !strings.Contains(text, "beside_total 0\n") && ro.Status.Verdict == "Pass", ro.Status.Verdict + ", " + text
	})
	if diff := cmp.Diff(atRest, rules()); diff == "" {
		t.Error("the route gives the canary nothing")
	}
	e.ask("promote")
	e.passed(before)
	e.atRest()

	stable := e.pods(false)
	e.revise(corev1.EnvVar{Name: "MODE", Value: "astray"})
	ro := e.phase(v1alpha1.RolloutRolledBack)
	if !strings.Contains(ro.Status.Failure, "check health: ") || !strings.Contains(ro.Status.Failure, "Service app-canary: GET :8080/: status 500") ||
		strings.Count(ro.Status.Failure, "status 500") != 1 {
		t.Errorf("it failed because %q, want the Service alone", ro.Status.Failure)
	}
	if diff := cmp.Diff(atRest, rules()); diff != "" || ro.Status.Weight != 0 {
		t.Errorf("the canary has %d%%, and the route changed (-before +after):\n%s", ro.Status.Weight, diff)
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
}
