//go:build e2e

package sandbox

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"code.gitea.io/sdk/gitea"
	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

const testProfile = Full

const (
	fullNamespace  = "sandbox-test-full"
	fullRepository = "sandbox-test"
	fullImage      = "gitea.local:3000/" + giteaAdmin + "/web:v1"
)

// syncManifests make Flux apply the repository's main branch.
const syncManifests = `
apiVersion: v1
kind: Namespace
metadata: { name: ` + fullNamespace + ` }
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: { name: web, namespace: ` + fullNamespace + ` }
spec:
  url: http://gitea.local:3000/` + giteaAdmin + `/` + fullRepository + `
  interval: 5s
  ref: { branch: main }
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: { name: web, namespace: ` + fullNamespace + ` }
spec:
  sourceRef: { kind: GitRepository, name: web }
  path: ./
  interval: 5s
  prune: true
  targetNamespace: ` + fullNamespace + `
`

// routeManifests are what Git holds: two Deployments behind one route of Traefik.
const routeManifests = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: traefik
  listeners:
    - { name: web, protocol: HTTP, port: 8000 }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  parentRefs: [{ name: web }]
  hostnames: [web.test]
  rules:
    - backendRefs:
        - { name: stable, port: 80, weight: 75 }
        - { name: canary, port: 80, weight: 25 }
`

const backendManifests = `
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: %[1]s }
spec:
  replicas: 1
  selector: { matchLabels: { app: %[1]s } }
  template:
    metadata: { labels: { app: %[1]s } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: ` + fullImage + `
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: %[1]s }
spec:
  selector: { app: %[1]s }
  ports: [{ port: 80, targetPort: 8080 }]
`

// TestE2EFromGitToGateway sends an image and manifests through every part of
// profile full: Gitea's registry and Git, Flux, Traefik, Prometheus, and a
// webhook from Gitea back into the cluster.
func TestE2EFromGitToGateway(t *testing.T) {
	cluster := upForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	client, err := giteaClient(ctx, cluster, cluster.Gitea, gitea.SetToken(cluster.Gitea.Token))
	if err != nil {
		t.Fatal(err)
	}
	pushToGitea(ctx, t, cluster)
	writeRepository(ctx, t, client)
	t.Cleanup(func() {
		err := cluster.kubectl(context.WithoutCancel(ctx), "", "delete", "namespace", fullNamespace, "--ignore-not-found", "--timeout=2m")
		if err != nil {
			t.Error(err)
		}
	})
	eventually(ctx, t, "the sync is applied", func() error { return cluster.Apply(ctx, syncManifests) })
	sent := requestThroughGateway(ctx, t, cluster)
	eventually(ctx, t, "Prometheus counts the requests by Service", func() error { return countedByService(ctx, cluster, sent) })
	webhookArrives(ctx, t, cluster, client)
}

func TestE2EKindFilesAreFound(t *testing.T) {
	l, err := layout.New("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files, err := kindFiles(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(files, "\n")
	for _, want := range []string{"_httproutes.yaml", "_gatewayclasses.yaml", "_gitrepositories.yaml", "_kustomizations.yaml"} {
		if !strings.Contains(all, want) {
			t.Errorf("no file %s among\n%s", want, all)
		}
	}
	if strings.Contains(all, "kustomization.yaml") || strings.Contains(all, "vap") {
		t.Errorf("files that are no definitions among\n%s", all)
	}
}

// pushToGitea pushes the test's pod to Gitea's registry.
func pushToGitea(ctx context.Context, t *testing.T, cluster *Cluster) {
	t.Helper()
	data, err := os.ReadFile(buildWeb(ctx, t))
	if err != nil {
		t.Fatal(err)
	}
	image, err := BuildImage([]ImageFile{{Path: "/web", Data: data, Mode: 0o755}}, []string{"/web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Push(ctx, fullImage, image); err != nil {
		t.Fatal(err)
	}
}

// writeRepository makes the repository anew with the manifests in it.
func writeRepository(ctx context.Context, t *testing.T, client *gitea.Client) {
	t.Helper()
	remove := func() error {
		response, err := client.DeleteRepo(giteaAdmin, fullRepository)
		if response != nil && response.StatusCode == http.StatusNotFound {
			return nil
		}
		return err
	}
	if err := remove(); err != nil { // an earlier run may have been cut short
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.SetContext(context.WithoutCancel(ctx))
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := client.CreateRepo(gitea.CreateRepoOption{Name: fullRepository, AutoInit: true, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	text := routeManifests + fmt.Sprintf(backendManifests, "stable") + fmt.Sprintf(backendManifests, "canary")
	_, _, err := client.CreateFile(giteaAdmin, fullRepository, "web.yaml", gitea.CreateFileOptions{
		FileOptions: gitea.FileOptions{Message: "Add web", BranchName: "main"},
		Content:     base64.StdEncoding.EncodeToString([]byte(text)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// requestThroughGateway sends 40 requests from the host once the route serves
// and returns how many reached each Deployment. Traefik takes turns, 3 to 1, but
// begins anew when its configuration changes.
func requestThroughGateway(ctx context.Context, t *testing.T, cluster *Cluster) map[string]int {
	t.Helper()
	client := &http.Client{Transport: cluster.Transport()}
	request := func() (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, cluster.Gateway, nil)
		if err != nil {
			return "", err
		}
		request.Host = "web.test"
		return getRequest(client, request)
	}
	eventually(ctx, t, "both Deployments answer behind the route", func() error {
		seen := map[string]bool{}
		for range 4 {
			text, err := request()
			if err != nil {
				return err
			}
			seen[strings.SplitN(text, "-", 2)[0]] = true
		}
		if !seen["stable"] || !seen["canary"] {
			return fmt.Errorf("only %v answered", seen)
		}
		return nil
	})
	sent := map[string]int{}
	for range 40 {
		text, err := request()
		if err != nil {
			t.Fatal(err)
		}
		sent[strings.SplitN(text, "-", 2)[0]]++
	}
	if sent["stable"]+sent["canary"] != 40 || sent["canary"] < 7 || sent["canary"] > 13 {
		t.Errorf("of 40 requests at weights 75 and 25 %v arrived, want about 30 and 10", sent)
	}
	return sent
}

// countedByService wants Traefik's counters of both Services in Prometheus.
func countedByService(ctx context.Context, cluster *Cluster, sent map[string]int) error {
	client, err := promapi.NewClient(promapi.Config{Address: cluster.PrometheusURL})
	if err != nil {
		return err
	}
	for name, count := range sent {
		query := fmt.Sprintf(`sum(traefik_service_requests_total{job="traefik",service=~"%s-%s-.*",code="200"})`, fullNamespace, name)
		value, _, _, err := promv1.NewAPI(client).Query(ctx, query, time.Now())
		if err != nil {
			return err
		}
		vector, ok := value.(model.Vector)
		if !ok || len(vector) != 1 || int(vector[0].Value) < count {
			return fmt.Errorf("%s is %v, want at least %d", query, value, count)
		}
	}
	return nil
}

// webhookArrives lets Gitea call a Service by its name. Gitea sends a webhook
// once and drops one that failed, so a push is repeated until one arrives.
func webhookArrives(ctx context.Context, t *testing.T, cluster *Cluster, client *gitea.Client) {
	t.Helper()
	service := "http://stable." + fullNamespace + ".svc.cluster.local"
	_, _, err := client.CreateRepoHook(giteaAdmin, fullRepository, gitea.CreateHookOption{
		Type: gitea.HookTypeGitea, Active: true, Events: []string{"push"},
		Config: map[string]string{"url": service + "/hook", "content_type": "json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Client{Transport: cluster.Transport()}
	for pushes := 1; ; pushes++ {
		_, _, err = client.CreateFile(giteaAdmin, fullRepository, fmt.Sprintf("note-%d.txt", pushes), gitea.CreateFileOptions{
			FileOptions: gitea.FileOptions{Message: "Note", BranchName: "main"}, Content: base64.StdEncoding.EncodeToString([]byte("note")),
		})
		if err != nil {
			t.Fatal(err)
		}
		patience, cancel := context.WithTimeout(ctx, 20*time.Second)
		err = until(patience, func(context.Context) error {
			text, err := get(patience, web, service+"/hooks")
			if err == nil && text == "0" {
				err = errors.New("no webhook arrived")
			}
			return err
		})
		cancel()
		if err == nil {
			t.Logf("a webhook arrived after push %d", pushes)
			return
		}
		t.Logf("after push %d: %v", pushes, err)
		if ctx.Err() != nil {
			t.Fatalf("no webhook arrived; the end of Gitea's log:\n%s", logEnd(t, cluster.layout.Log(partGitea)))
		}
	}
}

// logEnd is the end of a part's log.
func logEnd(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return string(text[max(0, len(text)-8192):])
}
