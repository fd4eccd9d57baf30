//go:build e2e

package templates

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/serin-gitops/serin/e2e/sandbox"
)

// manifests are a trial as Serin makes it: a route to the Services of both arms.
// %[1]s is the namespace, %[2]s the image, %[3]s Gateway class, %[4]d its port.
const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: %[1]s}
spec:
  gatewayClassName: %[3]s
  listeners:
    - {name: web, protocol: HTTP, port: %[4]d}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: %[1]s}
spec:
  parentRefs: [{name: edge}]
  hostnames: [%[1]s.test]
  rules:
    - backendRefs:
        - {name: web-stable, port: 80, weight: 70}
        - {name: web-canary, port: 80, weight: 30}
`

// armManifests are the Deployment and the Service of one arm: %[3]s is the
// Deployment's name, %[4]s the Service's.
const armManifests = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[3]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[3]s}}
  template:
    metadata:
      labels: {app: %[3]s}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: %[2]s
          env: [{name: ARM, value: %[4]s}]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: %[4]s, namespace: %[1]s}
spec:
  selector: {app: %[3]s}
  ports: [{port: 80, targetPort: 8080}]
`

// world is a trial in a namespace of its own.
type world struct {
	cluster   *sandbox.Cluster
	namespace string
}

func newWorld(t *testing.T) world {
	t.Helper()
	cluster, err := sandbox.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	if cluster.GatewayURL == "" {
		t.Fatal("the sandbox has no gateway; bring it up in profile full (make e2e does)")
	}
	w := world{cluster: cluster, namespace: "templates-" + strings.ToLower(rand.Text())[:8]}
	image, err := cluster.PushBinary(t.Context(), "otelweb:test", build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.remove(t) })
	text := fmt.Sprintf(manifests, w.namespace, image, sandbox.GatewayClass, sandbox.GatewayPort) +
		fmt.Sprintf(armManifests, w.namespace, image, "web", "web-stable") + fmt.Sprintf(armManifests, w.namespace, image, "web-canary", "web-canary")
	if err := cluster.Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	w.await(t)
	return w
}

// build makes the program, a module of its own.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "otelweb")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, ".")
	command.Dir = "../tools/otelweb"
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=readonly -buildvcs=false")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build e2e/tools/otelweb: %v\n%s", err, out)
	}
	return binary
}

func (w world) remove(t *testing.T) {
	t.Helper()
	config, err := w.cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := client.CoreV1().Namespaces().Delete(ctx, w.namespace, metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete namespace %s: %v", w.namespace, err)
	}
}

// await waits until both arms answer through the gateway, several times in a row.
func (w world) await(t *testing.T) {
	t.Helper()
	row, arms := 0, map[string]bool{}
	eventually(t, "both arms answer", func() error {
		for ; row < 20; row++ {
			answer, err := w.get(t.Context(), "/buy")
			if err != nil || answer.code != http.StatusOK {
				row, arms = 0, map[string]bool{}
				return fmt.Errorf("%+v, %w", answer, err)
			}
			arms[answer.arm] = true
		}
		if len(arms) < 2 {
			row = 0
			return fmt.Errorf("only %v answer", arms)
		}
		return nil
	})
}

// arm counts what one arm answered.
type arm struct {
	total, failed float64
	// slow were asked to be; late are all that the client waited for as long.
	slow, late float64
}

// answer is what the client saw of a request.
type answer struct {
	arm  string
	code int
	took time.Duration
}

func (w world) get(ctx context.Context, path string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.cluster.GatewayURL+path, nil)
	if err != nil {
		return answer{}, err
	}
	request.Host = w.namespace + ".test"
	began := time.Now()
	// Not by a client that repeats requests: each is counted.
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return answer{}, err
	}
	err = response.Body.Close()
	return answer{arm: response.Header.Get("X-Arm"), code: response.StatusCode, took: time.Since(began)}, err
}

// send sends requests, eight at once, and counts what became of them by arm,
// stable's first.
func (w world) send(t *testing.T, requests int, path func(int) string) [2]arm {
	t.Helper()
	var mu sync.Mutex
	var counts [2]arm
	work := make(chan int)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range work {
				got, err := w.get(t.Context(), path(i))
				mu.Lock()
				if at, known := map[string]int{"web-stable": 0, "web-canary": 1}[got.arm]; err != nil || !known {
					t.Errorf("request %d: %+v, %v", i, got, err)
				} else {
					counts[at].add(path(i), got)
				}
				mu.Unlock()
			}
		})
	}
	for i := range requests {
		work <- i
	}
	close(work)
	senders.Wait()
	return counts
}

func (a *arm) add(path string, got answer) {
	a.total++
	if got.code >= http.StatusInternalServerError {
		a.failed++
	}
	if strings.HasSuffix(path, slow) {
		a.slow++
	}
	if got.took.Seconds() > bound {
		a.late++
	}
}
