package world

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
)

// registryName is the embedded registry as nodes know it.
const registryName = "registry.local:5000"

// embedded is the light profile: Git server, registry and sync are Serin's own.
type embedded struct {
	sandboxed
	// password of the one user of both servers, made anew for each world.
	password string
}

func (e *embedded) overlay() string { return "embedded" }

// manifests are the volume, which has no provisioner here, and the
// configuration of the embedded servers.
func (e *embedded) manifests() string {
	volume := fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: serin-data}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: %s, name: serin-data}
  hostPath: {path: %s}
---
`, SerinNamespace, e.dataPath())
	return volume + e.configuration(`    registry:
      address: ":5000"
      directory: /var/lib/serin/registry
      users: /etc/serin/users.yaml
      names: [`+registryName+`]
`) + e.users() + e.credentials(Namespace)
}

// configuration is embedded.yaml, with a section for the registry.
func (e *embedded) configuration(registry string) string {
	var syncs strings.Builder
	repositories := []string{deployRepository}
	sync := func(prefix, repository string, environments []string) {
		for _, environment := range environments {
			fmt.Fprintf(&syncs, `
      - name: %[1]s%[2]s
        repository: %[3]s
        branch: main
        path: deploy/overlays/%[2]s`, prefix, environment, repository)
		}
	}
	sync("", deployRepository, Environments)
	for _, line := range e.w.options.Lines {
		repositories = append(repositories, line.Name)
		sync(line.Name+"-", line.Name, line.Environments)
	}
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: serin-embedded, namespace: %[1]s}
data:
  embedded.yaml: |
    git:
      address: ":3000"
      directory: /var/lib/serin/git
      url: http://serin-git.%[1]s.svc:3000
      users: /etc/serin/users.yaml
      repositories: [%[4]s]
%[2]s    sync:%[3]s
---
`, SerinNamespace, registry, syncs.String(), strings.Join(repositories, ", "))
}

// users are those of the servers.
func (e *embedded) users() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: serin-embedded, namespace: %[1]s}
stringData:
  users.yaml: |
    - {name: %[2]s, password: %[3]s}
---
`, SerinNamespace, gitUser, e.password)
}

func (e *embedded) credentials(namespace string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {%[2]s: "true"}}
---
apiVersion: v1
kind: Secret
metadata: {name: deploy, namespace: %[1]s}
stringData: {username: %[3]s, password: %[4]s}
`, namespace, DemoLabel, gitUser, e.password)
}

// clear has nothing to remove: Serin's volume holds all, and goes with the rest.
func (e *embedded) clear(context.Context) error { return nil }

func (e *embedded) imageRepository(l *Line) string { return registryName + "/" + l.image }

func (e *embedded) push(ctx context.Context, reference string, image v1.Image) error {
	return e.w.PushAs(ctx, reference, image, &authn.Basic{Username: gitUser, Password: e.password})
}

func (e *embedded) gitURL(ctx context.Context, l *Line) (string, error) {
	host, err := e.w.address(ctx, SerinNamespace, "serin-git", "3000")
	return fmt.Sprintf("http://%s:%s@%s/%s.git", gitUser, e.password, host, l.repository), err
}

func (e *embedded) exampleOverlay(l *Line, environment string) images.Overlay {
	overlay := images.Overlay{Components: []string{"hostpath", "canary"}, NewName: e.imageRepository(l), Tag: firstVersion}
	if environment == "prod" {
		overlay.Components = append(overlay.Components, "canary-prod")
	}
	return overlay
}

func (e *embedded) adapt(*v1alpha1.Pipeline) {}

func (e *embedded) prepare(context.Context) error { return nil }

// merge is what a person at a terminal does: "git merge", or for prod "serin
// approve".
func (e *embedded) merge(ctx context.Context, l *Line, promotion *v1alpha1.Promotion) error {
	if promotion.Spec.Environment != "prod" {
		return l.Git.Merge(ctx, promotion.Status.PullRequest.Branch)
	}
	return l.Serin(ctx, "approve", promotion.Name, "--reason", "the story says so")
}

func (e *embedded) loadURL(ctx context.Context, environment string) (string, error) {
	return e.w.serviceURL(ctx, environment)
}

// serviceURL is the workers' Service, for requests from inside the cluster. It is
// given by its address: each request would ask for the name six times, once for every
// domain that a pod searches and kind of address.
func (w *World) serviceURL(ctx context.Context, environment string) (string, error) {
	host, err := w.address(ctx, namespaceOf(Namespace, environment), Worker, "80")
	return "http://" + host + "/work", err
}

// address is that of a port of a Service, which is waited for.
func (w *World) address(ctx context.Context, namespace, name, port string) (string, error) {
	var service corev1.Service
	err := Eventually(ctx, time.Minute, "Service "+namespace+"/"+name, func(ctx context.Context) (string, error) {
		return "", w.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &service)
	})
	return net.JoinHostPort(service.Spec.ClusterIP, port), err
}
