//go:build integration

package gatewayapi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/traffic/traffictest"
)

// routes by kind: rules that are Serin's to change beside some that are not.
var routes = map[string]string{
	"HTTPRoute": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  hostnames: [web.example.org]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs:
        - name: web
          port: 80
          filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-from, value: edge}]}}]
    - name: shared
      matches: [{path: {type: PathPrefix, value: /shared}}]
      timeouts: {request: 10s}
      backendRefs:
        - {name: web, port: 80, weight: 3}
        - {name: old, port: 8080, weight: 1}
    - matches: [{path: {type: PathPrefix, value: /other}}]
      backendRefs: [{name: old, port: 8080, weight: 7}]
`,
	"GRPCRoute": `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  rules:
    - matches: [{method: {service: shop.Cart}}]
      backendRefs: [{name: web, port: 80}]
    - backendRefs: [{name: old, port: 8080}, {name: web, port: 80, weight: 9}]
`,
}

// TestIntegrationConformance runs against a real API server; the test plays the
// gateway's controller.
func TestIntegrationConformance(t *testing.T) {
	c := cluster(t)
	for _, kind := range []string{"HTTPRoute", "GRPCRoute"} {
		installCRDs(t, c, kind)
		t.Run(kind, func(t *testing.T) {
			traffictest.Run(t, func(t *testing.T) traffictest.Fixture {
				w := newWorld(t, c, routes[kind])
				f := w.fixture()
				f.Settle = w.settle
				return f
			})
		})
	}
}

// TestIntegrationUnknownKind asks for a kind that no cluster has.
func TestIntegrationUnknownKind(t *testing.T) {
	c := cluster(t)
	installCRDs(t, c, "HTTPRoute")
	f := newWorld(t, c, routes["HTTPRoute"]).fixture()
	f.Target.Kind = "NoSuchRoute"
	if _, err := f.Router.Observe(t.Context(), f.Target, 0); err == nil {
		t.Error("a kind that is not served was observed")
	}
}

// settle is the part of a gateway's controller: it accepts the route.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for {
		route, err := w.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		now := metav1.Now().Format(time.RFC3339)
		condition := func(kind gatewayv1.RouteConditionType) any {
			return map[string]any{
				"type": string(kind), "status": "True", "reason": string(kind), "message": "", "lastTransitionTime": now,
				"observedGeneration": route.GetGeneration(),
			}
		}
		route.Object["status"] = map[string]any{"parents": []any{map[string]any{
			"controllerName": "example.org/gateway",
			"parentRef":      map[string]any{"group": gatewayv1.GroupName, "kind": "Gateway", "name": "edge"},
			"conditions":     []any{condition(gatewayv1.RouteConditionAccepted), condition(gatewayv1.RouteConditionResolvedRefs)},
		}}}
		if err := w.Status().Update(t.Context(), route); !apierrors.IsConflict(err) {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// installCRDs gives a cluster that lacks the Gateway API its kinds, and leaves
// them there.
func installCRDs(t *testing.T, c client.Client, kinds ...string) {
	t.Helper()
	var dir string
	for _, kind := range kinds {
		group := schema.GroupKind{Group: gatewayv1.GroupName, Kind: kind}
		if _, err := c.RESTMapper().RESTMapping(group); err == nil {
			continue
		}
		if dir == "" {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
			if err != nil {
				t.Fatalf("find the Gateway API's module: %v", err)
			}
			dir = filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "experimental")
		}
		text, err := os.ReadFile(filepath.Join(dir, "gateway.networking.k8s.io_"+strings.ToLower(kind)+"s.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		definition := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &definition.Object); err != nil {
			t.Fatal(err)
		}
		if err := client.IgnoreAlreadyExists(c.Create(t.Context(), definition)); err != nil {
			t.Fatal(err)
		}
		waitServed(t, c, group)
	}
}

func waitServed(t *testing.T, c client.Client, kind schema.GroupKind) {
	t.Helper()
	deadline, ticker := time.After(patience), time.NewTicker(200*time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := c.RESTMapper().RESTMapping(kind)
		if err == nil {
			return
		}
		if !meta.IsNoMatchError(err) {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatalf("waited %s for %s to be served: %v", patience, kind, err)
		case <-ticker.C:
		}
	}
}
