//go:build e2e

package gatewayapi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/e2e/load"
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/traffic/traffictest"
)

// served is a route of its own Gateway, whose rules all lead to Services that
// are there. %s becomes a path that no other test has.
const served = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /%[1]s}}]
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /%[1]s-shared}}]
      backendRefs: [{name: web, port: 80, weight: 3}, {name: other, port: 80}]
`

// gateway is what the tests of a run share.
type gateway struct {
	client client.Client
	// url is the gateway's entry point from here.
	url string
	// image of testdata/echo.
	image string
}

func newGateway(t *testing.T) gateway {
	t.Helper()
	url := os.Getenv("SERIN_GATEWAY_URL")
	if url == "" {
		t.Fatal("set SERIN_GATEWAY_URL (make e2e does)")
	}
	up, err := sandbox.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "echo")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build testdata/echo: %v\n%s", err, out)
	}
	image, err := up.PushBinary(t.Context(), "traffic-echo:test", binary)
	if err != nil {
		t.Fatal(err)
	}
	return gateway{client: cluster(t), url: url, image: image}
}

// fixture is a route with its Gateway, and the path that leads to it.
func (g gateway) fixture(t *testing.T) (w *world, f traffictest.Fixture, path string) {
	t.Helper()
	path = strings.ToLower(rand.Text())
	w = newWorld(t, g.client, fmt.Sprintf(served, path))
	w.create(t, w.object(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: `+sandbox.GatewayClass+`
  listeners:
    - {name: web, protocol: HTTP, port: `+fmt.Sprint(sandbox.GatewayPort)+`}
`))
	return w, w.fixture(), "/" + path
}

// withPods adds both arms and what sends requests to them.
func (g gateway) withPods(t *testing.T) traffictest.Fixture {
	t.Helper()
	w, f, path := g.fixture(t)
	for _, arm := range []string{"stable", "canary"} {
		w.create(t, g.deployment(w.namespace, arm))
	}
	url := g.url + path
	f.Send = func(t *testing.T, requests int) map[string]int {
		t.Helper()
		stats := send(t, load.Options{URL: url, Rate: 200, Count: requests})
		answers := map[string]int{}
		for _, version := range stats.Versions {
			answers[version.Version] = int(version.Requests)
		}
		if failed := unanswered(stats); failed > 0 {
			t.Fatalf("%d of %d requests failed: %+v", failed, requests, stats.Versions)
		}
		return answers
	}
	f.Load = func(t *testing.T) func() (int64, int64) {
		t.Helper()
		return start(t, load.Options{URL: url, Rate: 50, Duration: 10 * time.Minute})
	}
	g.await(t, w, url)
	return f
}

// await waits until pods of both arms answer, and the gateway leads to them.
func (g gateway) await(t *testing.T, w *world, url string) {
	t.Helper()
	last := "nothing was looked at"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		var deployments appsv1.DeploymentList
		if err := g.client.List(ctx, &deployments, client.InNamespace(w.namespace)); err != nil {
			t.Fatalf("%v; %s", err, last)
		}
		ready := 0
		for _, deployment := range deployments.Items {
			ready += int(deployment.Status.AvailableReplicas)
		}
		if last = fmt.Sprintf("%d of 2 pods are available", ready); ready == 2 {
			stats := send(t, load.Options{URL: url, Rate: 100, Count: 20})
			if unanswered(stats) == 0 {
				return
			}
			last = fmt.Sprintf("the gateway answers %+v", stats.Versions)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s: %s", patience, last)
		case <-ticker.C:
		}
	}
}

func (g gateway) deployment(namespace, arm string) *appsv1.Deployment {
	labels := map[string]string{"app": "web", "arm": arm}
	probe := &corev1.Probe{PeriodSeconds: 1}
	probe.HTTPGet = &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: arm},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(1)), Containers: []corev1.Container{{
					Name: "echo", Image: g.image, Env: []corev1.EnvVar{{Name: "ARM", Value: arm}}, ReadinessProbe: probe,
				}}},
			},
		},
	}
}

// send sends a counted load and returns what became of it.
func send(t *testing.T, options load.Options) load.Stats {
	t.Helper()
	generator, err := load.New(options)
	if err != nil {
		t.Fatal(err)
	}
	generator.Run(t.Context())
	return generator.Stats()
}

// start sends a load until it is stopped.
func start(t *testing.T, options load.Options) func() (requests, failed int64) {
	t.Helper()
	generator, err := load.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		generator.Run(ctx)
	}()
	return func() (int64, int64) {
		cancel()
		<-ended
		stats := generator.Stats()
		return stats.Requests, unanswered(stats)
	}
}

// unanswered counts the requests that no pod answered well.
func unanswered(stats load.Stats) int64 {
	well := int64(0)
	for _, version := range stats.Versions {
		if version.Version != "" {
			well += version.Requests - version.Failed
		}
	}
	return stats.Requests - well
}

// TestE2EConformance runs beside a gateway's controller, which writes the status
// of the same route.
func TestE2EConformance(t *testing.T) {
	g := newGateway(t)
	traffictest.Run(t, func(t *testing.T) traffictest.Fixture {
		_, f, _ := g.fixture(t)
		return f
	})
}

// TestE2ETraffic counts who answers requests through the gateway.
func TestE2ETraffic(t *testing.T) {
	g := newGateway(t)
	traffictest.RunTraffic(t, g.withPods)
}
