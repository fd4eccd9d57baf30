package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// Addresses are the fixed addresses inside the sandbox.
type Addresses struct {
	Node, DNS, PodCIDR, ServiceCIDR string
}

// Cluster is a sandbox that is up, or an existing cluster taken in its place.
// Of an existing cluster only Kubeconfig is set and only RESTConfig works.
type Cluster struct {
	// Kubeconfig is the administrator's; it works from the host and from inside.
	Kubeconfig string
	// Kubectl is a kubectl of the cluster's version.
	Kubectl string
	// PrometheusURL is Prometheus from the host; pods use PrometheusInCluster.
	PrometheusURL string
	// BootstrapRegistry is the bootstrap registry's host:port from the host;
	// pods use BootstrapPrefix.
	BootstrapRegistry string
	// TargetsDir takes Prometheus file_sd files, *.json, for targets that
	// Kubernetes does not know.
	TargetsDir string
	// Gitea is the Git host and registry; zero in profile light.
	Gitea Gitea
	// Gateway is the URL of Traefik's web entrypoint from pods and for Dial;
	// empty in profile light. Requests reach a route by their Host.
	Gateway string
	// GatewayURL is Gateway from the host.
	GatewayURL string
	// Addresses inside the sandbox, for Dial.
	Addresses Addresses
	// Profile says which parts run.
	Profile Profile

	layout layout.Layout
}

// newCluster describes the sandbox of a layout.
func newCluster(l layout.Layout, profile Profile) *Cluster {
	cluster := &Cluster{
		Kubeconfig:        l.Kubeconfig(layout.IdentityAdmin),
		Kubectl:           l.Bin("kubectl"),
		PrometheusURL:     "http://" + layout.HostPort("127.0.0.1", layout.HostPrometheusPort),
		BootstrapRegistry: layout.HostPort("127.0.0.1", layout.HostBootstrapPort),
		TargetsDir:        l.Path("targets"),
		Addresses:         Addresses{Node: NodeAddress, DNS: DNSAddress, PodCIDR: PodCIDR, ServiceCIDR: ServiceCIDR},
		Profile:           profile,
		layout:            l,
	}
	if profile == Full {
		cluster.Gateway = "http://" + layout.HostPort("gateway.local", layout.GatewayPort)
		cluster.GatewayURL = "http://" + layout.HostPort("127.0.0.1", layout.HostGatewayPort)
	}
	return cluster
}

// errExisting is returned for what only a sandbox of our own can do.
var errExisting = errors.New("not possible on an existing cluster: only the sandbox's own parts can be started, stopped or entered")

// Attach finds the sandbox that is up without starting anything. dir is its
// cache directory; empty means the default of Options.CacheDir.
func Attach(dir string) (*Cluster, error) {
	cluster, err := Open(dir)
	if err != nil || cluster.layout.Dir == "" {
		return cluster, err
	}
	for _, one := range []string{machine.PartForward, partAPI} {
		if _, ok := machine.Running(cluster.layout, one); !ok {
			return nil, fmt.Errorf("the sandbox of %s is not up (%s does not run): run `go run ./e2e/sandbox/cmd/sandbox up`", cluster.layout.Dir, one)
		}
	}
	return cluster, nil
}

// Open is Attach without the check that the sandbox is up, for starting parts
// that Attach would miss.
func Open(dir string) (*Cluster, error) {
	l, err := layout.New("", dir)
	if err != nil {
		return nil, err
	}
	if text, err := os.ReadFile(l.Path("existing")); err == nil {
		return &Cluster{Kubeconfig: string(text)}, nil
	}
	cluster := newCluster(l, savedProfile(l))
	cluster.Gitea, err = savedGitea(l)
	return cluster, err
}

// RESTConfig is the administrator's access for client-go.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return config, nil
}

// clientset is for single requests: they end after 10 s.
func (c *Cluster) clientset() (*kubernetes.Clientset, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

// Dial connects from the host to an address inside the sandbox: a pod's, a
// Service's or the node's, or a name of the cluster's DNS such as
// "shop.staging.svc:80". It needs root. Its form is that of
// http.Transport.DialContext.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.layout.Dir == "" {
		return nil, errExisting
	}
	return netns.Dial(ctx, network, address)
}

// Command prepares a process that runs inside the sandbox's network namespace,
// with KUBECONFIG set.
func (c *Cluster) Command(ctx context.Context, argv ...string) *exec.Cmd {
	argv = netns.Enter(argv...)
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	return command
}

// Apply sends manifests, YAML or JSON, to the cluster with kubectl's
// server-side apply.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	return c.kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
}

// kubectl runs kubectl with that input.
func (c *Cluster) kubectl(ctx context.Context, input string, args ...string) error {
	if c.Kubectl == "" {
		return errExisting
	}
	command := exec.CommandContext(ctx, c.Kubectl, append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	command.Stdin = strings.NewReader(input)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// probeClient asks parts whether they are ready. Repetition is up to the
// caller, who watches the part's process meanwhile.
func (c *Cluster) probeClient() (*retryablehttp.Client, error) {
	ca, err := os.ReadFile(c.layout.Path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := retryablehttp.NewClient()
	client.Logger, client.RetryMax = nil, 0
	client.HTTPClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: netns.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	return client, nil
}

// probe asks once and wants 200.
func probe(ctx context.Context, client *retryablehttp.Client, url string) error {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return ask(client, request)
}

// ask sends a request and wants 200.
func ask(client *retryablehttp.Client, request *retryablehttp.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}

// KillPart ends a part as a crash would, by SIGKILL, and returns when it is gone.
// Nothing starts it again but StartPart or Up.
func (c *Cluster) KillPart(ctx context.Context, name string) error {
	one, err := c.part(name)
	if err != nil {
		return err
	}
	return machine.Stop(ctx, c.layout, one.name, true)
}

// StartPart starts a part that does not run and returns when it is ready.
func (c *Cluster) StartPart(ctx context.Context, name string) error {
	one, err := c.part(name)
	if err != nil {
		return err
	}
	if err := startPart(ctx, c, one); err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	return nil
}

// part finds a part by name.
func (c *Cluster) part(name string) (part, error) {
	if c.layout.Dir == "" {
		return part{}, errExisting
	}
	all := parts(c.layout, c.Profile)
	at := slices.IndexFunc(all, func(one part) bool { return one.name == name })
	if at < 0 {
		names := make([]string, len(all))
		for i, one := range all {
			names[i] = one.name
		}
		return part{}, fmt.Errorf("no part %q in profile %s; parts are %s", name, c.Profile, strings.Join(names, ", "))
	}
	return all[at], nil
}

// errEnded is why a part that was started is not ready and never will be.
var errEnded = errors.New("it ended while starting")

// startPart starts a part unless it runs, and waits until it is ready or has
// ended. Its errors tell the part's log, and leave its name to the caller.
func startPart(ctx context.Context, c *Cluster, one part) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %s", readyTimeout))
	defer cancel()
	process, ok := machine.Running(c.layout, one.name)
	if !ok {
		var err error
		if process, err = launch(ctx, c, one); err != nil {
			return machine.Ended(err, c.layout.Log(one.name))
		}
	}
	if one.ready == nil {
		return nil
	}
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go watchEnd(ctx, process, ended)
	if err := one.ready(ctx, c); err != nil {
		if errors.Is(context.Cause(ctx), errEnded) {
			err = errEnded // that nobody answers follows from it
		}
		return machine.Ended(err, c.layout.Log(one.name))
	}
	return nil
}

// launch prepares and spawns a part.
func launch(ctx context.Context, c *Cluster, one part) (machine.Process, error) {
	if one.before != nil {
		if err := one.before(ctx, c); err != nil {
			return machine.Process{}, err
		}
	}
	argv := one.argv
	if one.clusterDNS {
		argv = netns.WithResolver(c.layout.Path("config", "node-resolv.conf"), argv...)
	}
	if !one.host {
		argv = netns.Enter(argv...)
	}
	return machine.Spawn(c.layout, one.name, argv, one.env)
}

// watchEnd cancels when the process ends before it became ready.
func watchEnd(ctx context.Context, process machine.Process, ended context.CancelCauseFunc) {
	ticker := time.NewTicker(layout.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !process.Alive() {
				ended(errEnded)
				return
			}
		}
	}
}
