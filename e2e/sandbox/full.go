package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-retryablehttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	GatewayPort = gatewayPort

	// traefikNamespace and traefikTokenSecret are written in full-objects.yaml.
	traefikNamespace   = "traefik"
	traefikTokenSecret = "traefik-token"

	traefikMetricsPort   = 8082
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
func fullParts(l layout) []part {
	node := func(port int) string { return hostPort(NodeAddress, port) }
	flux := []string{"KUBECONFIG=" + l.kubeconfig(identityAdmin), "RUNTIME_NAMESPACE=" + FluxNamespace, "HOME=" + l.path("flux"), "TMPDIR=" + l.path("flux", "tmp")}
	return []part{
		{name: partGitea, clusterDNS: true, argv: giteaArgs(l, "web"), env: giteaEnv(l),
			ready: answers("http://" + node(giteaPort) + "/api/healthz")},
		{name: partTraefik, clusterDNS: true, argv: traefikArgs(l), before: writeTraefikToken,
			// Without KUBECONFIG Traefik takes the access its arguments name.
			env: []string{"KUBECONFIG="}, ready: answers("http://" + node(traefikMetricsPort) + "/ping")},
		{name: partSources, clusterDNS: true, env: flux, before: makeFluxDirs, argv: []string{
			l.tool(partSources), "--watch-all-namespaces", "--storage-path=" + l.path("flux", "artifacts"),
			"--storage-addr=" + node(sourcesArtifactPort), "--storage-adv-addr=" + node(sourcesArtifactPort),
			"--metrics-addr=" + node(sourcesMetricsPort), "--health-addr=" + node(sourcesHealthPort),
		}, ready: answers("http://" + node(sourcesHealthPort) + "/readyz")},
		{name: partKustomize, clusterDNS: true, env: flux, before: makeFluxDirs, argv: []string{
			l.tool(partKustomize), "--watch-all-namespaces", "--requeue-dependency=5s",
			"--metrics-addr=" + node(kustomizeMetricsPort), "--health-addr=" + node(kustomizeHealthPort),
		}, ready: answers("http://" + node(kustomizeHealthPort) + "/readyz")},
	}
}

func traefikArgs(l layout) []string {
	return []string{
		l.tool(partTraefik),
		"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO",
		"--entrypoints.web.address=" + hostPort(NodeAddress, gatewayPort),
		"--entrypoints.metrics.address=" + hostPort(NodeAddress, traefikMetricsPort),
		"--providers.kubernetesgateway",
		"--providers.kubernetesgateway.endpoint=https://" + hostPort("127.0.0.1", apiPort),
		"--providers.kubernetesgateway.token=" + traefikTokenFile(l),
		"--providers.kubernetesgateway.certauthfilepath=" + l.path("pki", "ca.crt"),
		"--providers.kubernetesgateway.statusaddress.ip=" + NodeAddress,
		// A weight that changed is served within this time, not the default 2 s.
		"--providers.providersthrottleduration=500ms",
		"--ping", "--ping.entrypoint=metrics",
		"--metrics.prometheus", "--metrics.prometheus.entrypoint=metrics",
		"--metrics.prometheus.addentrypointslabels", "--metrics.prometheus.addrouterslabels", "--metrics.prometheus.addserviceslabels",
		"--metrics.prometheus.buckets=0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.2,0.3,0.5,0.75,1,1.5,2.5,5,10",
	}
}

func traefikTokenFile(l layout) string { return l.path("pki", "traefik.token") }

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
		return writeFile(traefikTokenFile(c.layout), token, 0o600)
	})
}

// makeFluxDirs makes what Flux expects to find.
func makeFluxDirs(_ context.Context, c *Cluster) error {
	return errors.Join(os.MkdirAll(c.layout.path("flux", "tmp"), 0o755), os.MkdirAll(c.layout.path("flux", "artifacts"), 0o755))
}

// fullSteps are the steps of Up that only profile full has.
func fullSteps(c *Cluster) []step {
	l := c.layout
	steps := []step{
		{"kinds of Gateway API and Flux", func(ctx context.Context) error { return applyKinds(ctx, c) }},
		{"objects of Traefik and Flux", func(ctx context.Context) error { return applyFile(ctx, c, l.path("config", "full-objects.yaml")) }},
		{"Prometheus' configuration", func(ctx context.Context) error { return reloadPrometheus(ctx, c) }},
	}
	for _, one := range fullParts(l) {
		steps = append(steps, step{one.name, func(ctx context.Context) error { return startPart(ctx, c, one) }})
	}
	return append(steps, step{"Gitea's administrator", func(ctx context.Context) error { return prepareGitea(ctx, c) }})
}

// applyKinds installs the custom resource definitions of Gateway API
// (experimental channel: session persistence and the like) and Flux out of the
// modules the tools are built from, and waits until they are served.
func applyKinds(ctx context.Context, c *Cluster) error {
	files, err := kindFiles(ctx, c.layout)
	if err != nil {
		return err
	}
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
func kindFiles(ctx context.Context, l layout) ([]string, error) {
	flux := filepath.Join(l.root, "e2e", "tools", "flux")
	var files []string
	for _, one := range []struct{ within, module, pattern string }{
		// Not the policy that guards upgrades (vap), nor Gateway API's experiments of other groups (x-k8s.io).
		{l.root, gatewayModule, "config/crd/experimental/gateway.networking.k8s.io_*.yaml"},
		{flux, sourcesModule, "config/crd/bases/*.yaml"},
		{flux, kustomizeModule, "config/crd/bases/*.yaml"},
	} {
		dir, err := moduleDir(ctx, one.within, one.module)
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

// moduleDir is where Go keeps the sources of a module that the module in within
// requires; it is downloaded when it is not there.
func moduleDir(ctx context.Context, within, module string) (string, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	command.Dir, command.Env = within, append(os.Environ(), "GOWORK=off")
	out, err := command.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); err == nil {
		err = jsonErr
	}
	if answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		return "", fmt.Errorf("sources of module %s: %w", module, err)
	}
	return answer.Dir, nil
}

// reloadPrometheus makes a Prometheus that runs read its configuration again,
// which light wrote without Traefik.
func reloadPrometheus(ctx context.Context, c *Cluster) error {
	client, err := c.probeClient()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		request, err := retryablehttp.NewRequestWithContext(ctx, "POST", "http://"+hostPort(NodeAddress, 9090)+"/-/reload", nil)
		if err != nil {
			return err
		}
		return ask(client, request)
	})
}
