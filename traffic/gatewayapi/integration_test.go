//go:build integration

package gatewayapi_test

import (
	"testing"

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
