//go:build integration

package gatewayapi_test

import (
	"testing"

	"github.com/serin-gitops/serin/e2e/sandbox"
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
	installCRDs(t)
	for _, kind := range []string{"HTTPRoute", "GRPCRoute"} {
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
	installCRDs(t)
	f := newWorld(t, c, routes["HTTPRoute"]).fixture()
	f.Target.Kind = "NoSuchRoute"
	if _, err := f.Router.Observe(t.Context(), f.Target, 0); err == nil {
		t.Error("a kind that is not served was observed")
	}
}

// settle is the part of a gateway's controller: it accepts the route.
func (w *world) settle(t *testing.T) {
	t.Helper()
	route, err := w.read(t.Context())
	if err == nil {
		err = traffictest.Accept(t.Context(), w.Client, route)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// installCRDs gives the sandbox the kinds of routes, and leaves them there.
func installCRDs(t *testing.T) {
	t.Helper()
	up, err := sandbox.Attach("")
	if err == nil {
		err = up.ApplyRouteKinds(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
