//go:build integration

package rollout_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestIntegrationWeightWaitsForEndpoints keeps a canary pod that is ready out of
// the endpoints of its Service, as a slow cluster does for a while: the route
// gives it nothing until it is listed.
func TestIntegrationWeightWaitsForEndpoints(t *testing.T) {
	e := setup(t)
	rules := e.route()
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Traffic.RouteRef = &v1alpha1.RouteReference{Kind: "HTTPRoute", Name: "app"}
		spec.Steps, spec.Paused = []v1alpha1.Step{{Weight: 40, Duration: &metav1.Duration{Duration: time.Hour}}}, true
	})
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	e.until("the route names stable and canary", func() (bool, string) {
		weight, named := canaryWeight(rules())
		return named && weight == 0 && len(e.pods(true)) == 1, e.message()
	})

	e.leadCanary(func(selector map[string]string) { selector["nobody"] = "bears this" })
	e.update(func() client.Object { return e.rollout() }, func(object client.Object) {
		object.(*v1alpha1.Rollout).Spec.Paused = false
	})
	e.until("the pod is ready, and the weight waits", func() (bool, string) {
		return e.ready() && strings.Contains(e.message(), "0 of 1 canary pods are ready behind their Service"), e.message()
	})
	if weight, _ := canaryWeight(rules()); weight != 0 {
		t.Errorf("the route gives %d of its share to a Service without a pod", weight)
	}

	e.leadCanary(func(selector map[string]string) { delete(selector, "nobody") })
	e.serving()
	if weight, _ := canaryWeight(rules()); weight == 0 {
		t.Error("the canary is said to have traffic, and the route gives it none")
	}
}

// leadCanary changes what the canary's Service selects.
func (e *env) leadCanary(change func(selector map[string]string)) {
	e.t.Helper()
	e.update(func() client.Object {
		var service corev1.Service
		if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app-canary"}, &service); err != nil {
			e.t.Fatal(err)
		}
		return &service
	}, func(object client.Object) { change(object.(*corev1.Service).Spec.Selector) })
}

// ready says whether the canary's first pod is.
func (e *env) ready() bool {
	e.t.Helper()
	var pod corev1.Pod
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: e.pods(true)[0]}, &pod); err != nil {
		e.t.Fatal(err)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// canaryWeight is what the first rule of a route gives the canary, and whether
// it names it.
func canaryWeight(spec any) (int64, bool) {
	fields, _ := spec.(map[string]any)
	rules, _, _ := unstructured.NestedSlice(fields, "rules")
	if len(rules) == 0 {
		return 0, false
	}
	rule, _ := rules[0].(map[string]any)
	backends, _, _ := unstructured.NestedSlice(rule, "backendRefs")
	for _, one := range backends {
		if backend, _ := one.(map[string]any); backend["name"] == "app-canary" {
			weight, _ := backend["weight"].(int64)
			return weight, true
		}
	}
	return 0, false
}
