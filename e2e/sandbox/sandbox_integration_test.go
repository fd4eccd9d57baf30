//go:build integration || e2e

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
)

// webManifests is a Deployment of two pods behind a Service.
const webManifests = `
apiVersion: v1
kind: Namespace
metadata: { name: %[1]s }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: %[1]s }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web, serin.dev/role: canary }
      annotations: { prometheus.io/scrape: "true", prometheus.io/port: "8080" }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: %[2]s
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: %[1]s }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
`

const testNamespace = "sandbox-test"

// upForTest brings the shared sandbox up and leaves it up.
func upForTest(t *testing.T) *Cluster {
	t.Helper()
	cluster, err := Up(t.Context(), Options{Profile: testProfile, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// pids maps the running parts to their processes.
func pids(t *testing.T) map[string]int {
	t.Helper()
	all, err := Status(Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, one := range all {
		found[one.Name] = one.PID
	}
	return found
}

func TestIntegrationUpTwiceIsUpOnce(t *testing.T) {
	upForTest(t)
	before := pids(t)
	upForTest(t)
	if diff := cmp.Diff(before, pids(t)); diff != "" {
		t.Errorf("the second up changed processes (-before +after):\n%s", diff)
	}
}

func TestIntegrationPodsServicesNamesAndMetrics(t *testing.T) {
	cluster := upForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	deployWeb(ctx, t, cluster)
	client := &http.Client{Transport: cluster.Transport()}

	seen := map[string]bool{}
	eventually(ctx, t, "both pods answer behind the Service", func() error {
		text, err := get(ctx, client, "http://web."+testNamespace+".svc/")
		if err != nil {
			return err
		}
		seen[text] = true
		if len(seen) < 2 {
			return fmt.Errorf("only %v answered", seen)
		}
		return nil
	})
	eventually(ctx, t, "a pod reaches the Service by name", func() error {
		inner := "http://web." + testNamespace
		text, err := get(ctx, client, "http://web."+testNamespace+".svc/call?url="+url.QueryEscape(inner))
		if err == nil && !seen[text] {
			err = fmt.Errorf("unknown pod %q answered", text)
		}
		return err
	})
	eventually(ctx, t, "a pod reaches Prometheus by name", func() error {
		_, err := get(ctx, client, "http://web."+testNamespace+".svc/call?url="+url.QueryEscape(PrometheusInCluster+"/-/ready"))
		return err
	})
	eventually(ctx, t, "Prometheus has both pods' series with their labels", func() error {
		return seriesOfWeb(ctx, cluster)
	})
}

func TestIntegrationKillAndStartPrometheus(t *testing.T) {
	cluster := upForTest(t)
	if err := cluster.KillPart(t.Context(), "prometheus"); err != nil {
		t.Fatal(err)
	}
	if _, ok := machine.Running(cluster.layout, "prometheus"); ok {
		t.Error("prometheus runs after KillPart")
	}
	if err := cluster.StartPart(t.Context(), "prometheus"); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: cluster.Transport()}
	if _, err := get(t.Context(), client, "http://prometheus.local:9090/-/ready"); err != nil {
		t.Error(err)
	}
}

// deployWeb builds, pushes and deploys the test's pods and removes them at the end.
func deployWeb(ctx context.Context, t *testing.T, cluster *Cluster) {
	t.Helper()
	reference, err := cluster.PushBinary(ctx, "sandbox-test/web:v1", buildWeb(ctx, t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := cluster.clientset()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := client.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), testNamespace, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	eventually(ctx, t, "the manifests are applied", func() error { // an earlier run's namespace may still be going away
		return cluster.Apply(ctx, fmt.Sprintf(webManifests, testNamespace, reference))
	})
	eventually(ctx, t, "the Deployment is available", func() error {
		var web *appsv1.Deployment
		web, err := client.AppsV1().Deployments(testNamespace).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && web.Status.AvailableReplicas != 2 {
			err = fmt.Errorf("%d of 2 replicas available: %v", web.Status.AvailableReplicas, web.Status.Conditions)
		}
		return err
	})
}

// buildWeb builds the test's pod.
func buildWeb(ctx context.Context, t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "web")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// seriesOfWeb asks Prometheus, from the host, for the series of both pods.
func seriesOfWeb(ctx context.Context, cluster *Cluster) error {
	client, err := promapi.NewClient(promapi.Config{Address: cluster.PrometheusURL})
	if err != nil {
		return err
	}
	query := `web_requests_total{job="pods",namespace="` + testNamespace + `",app="web",serin_dev_role="canary",pod_template_hash!="",node="serin"}`
	value, _, _, err := promv1.NewAPI(client).Query(ctx, query, time.Now())
	if err != nil {
		return err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return errors.New("the answer is not a vector")
	}
	names := map[string]bool{}
	for _, sample := range vector {
		names[string(sample.Metric["pod"])] = true
	}
	if len(names) < 2 {
		return fmt.Errorf("series of pods %v", names)
	}
	return nil
}

func eventually(ctx context.Context, t *testing.T, what string, check func() error) {
	t.Helper()
	if err := until(ctx, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func get(ctx context.Context, client *http.Client, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	return getRequest(client, request)
}

func getRequest(client *http.Client, request *http.Request) (string, error) {
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", request.URL, response.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}
