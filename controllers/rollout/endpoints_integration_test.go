//go:build integration

package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/status"
)

// TestIntegrationWeightWaitsForEndpoints gives the workload's Service a named port,
// which a revision renames: its pod is ready, no Service leads to it, and the route
// gives it nothing. The next revision, which is led to, gets its share.
func TestIntegrationWeightWaitsForEndpoints(t *testing.T) {
	e := setup(t)
	rules := e.route()
	e.deploy(1, func(d *appsv1.Deployment, s *corev1.Service) {
		d.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		s.Spec.Ports = []corev1.ServicePort{{Port: 8080, TargetPort: intstr.FromString("web")}}
	})
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Traffic.RouteRef = &v1alpha1.RouteReference{Kind: "HTTPRoute", Name: "app"}
		spec.Steps = []v1alpha1.Step{{Weight: 40, Duration: &metav1.Duration{Duration: time.Hour}}}
	})
	e.port("http")
	e.until("the pod is ready, and the trial is held", func() (bool, string) {
		return e.ready() && strings.Contains(e.message(), "the Service of the canary leads no port to it"), e.message()
	})
	if weight, named := canaryWeight(rules()); weight != 0 || !named {
		t.Errorf("the route names the canary: %t, and gives it %d of a share", named, weight)
	}
	e.port("web", corev1.EnvVar{Name: "REVISION", Value: "2"})
	e.serving()
	if weight, _ := canaryWeight(rules()); weight == 0 {
		t.Error("the canary is said to have traffic, and the route gives it none")
	}
}

// TestIntegrationMarkIsPutBack takes Serin's mark off the canary's Service during a
// trial: without it the endpoints are not seen.
func TestIntegrationMarkIsPutBack(t *testing.T) {
	e := setup(t)
	e.route()
	e.deploy(1)
	e.start()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Traffic.RouteRef = &v1alpha1.RouteReference{Kind: "HTTPRoute", Name: "app"}
		spec.Steps = []v1alpha1.Step{{Weight: 40, Duration: &metav1.Duration{Duration: time.Hour}}}
	})
	e.trial("2")
	service := func() client.Object {
		var service corev1.Service
		if err := e.client.Get(t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app-canary"}, &service); err != nil {
			t.Fatal(err)
		}
		return &service
	}
	e.update(service, func(object client.Object) { object.SetLabels(nil) })
	e.until("the mark is back, and the canary serves", func() (bool, string) {
		marked := service().GetLabels()[v1alpha1.LabelRollout] == "app"
		return marked && e.rollout().Status.Weight == 40, fmt.Sprintf("marked %t: %s", marked, e.message())
	})
}

// port renames the container's port, and gives it other environment variables.
func (e *env) port(name string, vars ...corev1.EnvVar) {
	e.t.Helper()
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		container := &object.(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
		container.Ports[0].Name, container.Env = name, vars
	})
}

// ready says whether the canary's first pod is.
func (e *env) ready() bool {
	e.t.Helper()
	pods := e.pods(true)
	if len(pods) == 0 {
		return false
	}
	var pod corev1.Pod
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: pods[0]}, &pod); err != nil {
		e.t.Fatal(err)
	}
	return status.PodIs(&pod, corev1.PodReady)
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
