package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-retryablehttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/e2e/progress"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/builds"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/configs"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// What profile full adds: names and ports of its parts.
const (
	partGitea     = "gitea"
	partTraefik   = "traefik"
	partSources   = "source-controller"
	partKustomize = "kustomize-controller"

	// FluxNamespace is the namespace Flux counts as its own.
	FluxNamespace = "flux-system"
	// GatewayClass is the class of Gateways that Traefik serves. A Gateway's
	// listener must name GatewayPort, as Traefik's entrypoints have fixed ports.
	GatewayClass = "traefik"
	// GatewayPort is the port of Traefik's web entrypoint.
	GatewayPort = layout.GatewayPort

	// traefikNamespace and traefikTokenSecret are written in full-objects.yaml.
	traefikNamespace   = "traefik"
	traefikTokenSecret = "traefik-token"

	sourcesArtifactPort  = 9790
	sourcesMetricsPort   = 9791
	sourcesHealthPort    = 9792
	kustomizeMetricsPort = 9793
	kustomizeHealthPort  = 9794

	gatewayModule   = "sigs.k8s.io/gateway-api"
	giteaModule     = "code.gitea.io/gitea"
	sourcesModule   = "github.com/fluxcd/source-controller"
	kustomizeModule = "github.com/fluxcd/kustomize-controller"
)

// fullParts are the parts profile full starts after those of light.
func fullParts(l layout.Layout) []part {
	node := func(port int) string { return layout.HostPort(NodeAddress, port) }
	flux := []string{"KUBECONFIG=" + l.Kubeconfig(layout.IdentityAdmin), "RUNTIME_NAMESPACE=" + FluxNamespace, "HOME=" + l.Path("flux"), "TMPDIR=" + l.Path("flux", "tmp")}
	return []part{
		{name: partGitea, clusterDNS: true, argv: giteaArgs(l, "web"), env: giteaEnv(l),
			ready: answers("http://" + node(layout.GiteaPort) + "/api/healthz")},
		{name: partTraefik, clusterDNS: true, argv: configs.TraefikArgs(l), before: writeTraefikToken,
			// Without KUBECONFIG Traefik takes the access its arguments name.
			env: []string{"KUBECONFIG="}, ready: answers("http://" + node(layout.TraefikMetricsPort) + "/ping")},
		{name: partSources, clusterDNS: true, env: flux, before: makeFluxDirs, argv: []string{
			l.Tool(partSources), "--watch-all-namespaces", "--storage-path=" + l.Path("flux", "artifacts"),
			"--storage-addr=" + node(sourcesArtifactPort), "--storage-adv-addr=" + node(sourcesArtifactPort),
			"--metrics-addr=" + node(sourcesMetricsPort), "--health-addr=" + node(sourcesHealthPort),
		}, ready: answers("http://" + node(sourcesHealthPort) + "/readyz")},
		{name: partKustomize, clusterDNS: true, env: flux, before: makeFluxDirs, argv: []string{
			l.Tool(partKustomize), "--watch-all-namespaces", "--requeue-dependency=5s",
			"--metrics-addr=" + node(kustomizeMetricsPort), "--health-addr=" + node(kustomizeHealthPort),
		}, ready: answers("http://" + node(kustomizeHealthPort) + "/readyz")},
	}
}

// writeTraefikToken copies the token of Traefik's service account to where
// Traefik reads it, as soon as the cluster has issued one.
func writeTraefikToken(ctx context.Context, c *Cluster) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		secret, err := client.CoreV1().Secrets(traefikNamespace).Get(ctx, traefikTokenSecret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		token := secret.Data["token"]
		if len(token) == 0 {
			return fmt.Errorf("secret %s/%s: no token in it yet", traefikNamespace, traefikTokenSecret)
		}
		return layout.WriteFile(configs.TraefikTokenFile(c.layout), token, 0o600)
	})
}

// makeFluxDirs makes what Flux expects to find.
func makeFluxDirs(_ context.Context, c *Cluster) error {
	return errors.Join(os.MkdirAll(c.layout.Path("flux", "tmp"), 0o755), os.MkdirAll(c.layout.Path("flux", "artifacts"), 0o755))
}

// fullSteps are the steps of Up that only profile full has.
func fullSteps(c *Cluster) []progress.Part {
	l := c.layout
	steps := []progress.Part{
		{Name: "kinds of Gateway API and Flux", Run: func(ctx context.Context) error { return applyKinds(ctx, c) }},
		{Name: "objects of Traefik and Flux", Run: func(ctx context.Context) error { return applyFile(ctx, c, l.Path("config", "full-objects.yaml")) }},
		{Name: "Prometheus' configuration", Run: func(ctx context.Context) error { return reloadPrometheus(ctx, c) }},
	}
	for _, one := range fullParts(l) {
		steps = append(steps, progress.Part{Name: one.name, Run: func(ctx context.Context) error { return startPart(ctx, c, one) }})
	}
	return append(steps, progress.Part{Name: "Gitea's administrator", Run: func(ctx context.Context) error { return prepareGitea(ctx, c) }})
}

// applyKinds installs the custom resource definitions of Gateway API
// (experimental channel: session persistence and the like) and Flux out of the
// modules the tools are built from, and waits until they are served.
func applyKinds(ctx context.Context, c *Cluster) error {
	files, err := kindFiles(ctx, c.layout)
	if err != nil {
		return err
	}
	return c.applyDefinitions(ctx, files)
}

// applyDefinitions applies custom resource definitions and waits until they are
// served.
func (c *Cluster) applyDefinitions(ctx context.Context, files []string) error {
	var manifests []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		manifests = append(manifests, string(text))
	}
	all := strings.Join(manifests, "\n---\n")
	if err := c.Apply(ctx, all); err != nil {
		return err
	}
	return c.kubectl(ctx, all, "wait", "--for=condition=Established", "--timeout="+readyTimeout.String(), "-f", "-")
}

// kindFiles lists the files with custom resource definitions.
func kindFiles(ctx context.Context, l layout.Layout) ([]string, error) {
	flux := filepath.Join(l.Root, "e2e", "tools", "flux")
	var files []string
	for _, one := range []struct{ within, module, pattern string }{
		// Not the policy that guards upgrades (vap), nor Gateway API's experiments of other groups (x-k8s.io).
		{l.Root, gatewayModule, "config/crd/experimental/gateway.networking.k8s.io_*.yaml"},
		{flux, sourcesModule, "config/crd/bases/*.yaml"},
		{flux, kustomizeModule, "config/crd/bases/*.yaml"},
	} {
		dir, err := builds.ModuleDir(ctx, one.within, one.module)
		if err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(one.pattern)))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(file string) bool { return strings.Contains(filepath.Base(file), "_vap_") })
		if len(found) == 0 {
			return nil, fmt.Errorf("module %s: no custom resource definitions at %s in %s", one.module, one.pattern, dir)
		}
		files = append(files, found...)
	}
	return files, nil
}

// reloadPrometheus makes a Prometheus that runs read its configuration again,
// which light wrote without Traefik.
func reloadPrometheus(ctx context.Context, c *Cluster) error {
	client, err := c.probeClient()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		request, err := retryablehttp.NewRequestWithContext(ctx, "POST", "http://"+layout.HostPort(NodeAddress, 9090)+"/-/reload", nil)
		if err != nil {
			return err
		}
		return ask(client, request)
	})
}
