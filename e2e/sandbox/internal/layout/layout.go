// Package layout knows the names, addresses, ports and files of the sandbox.
package layout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Fixed addresses and names. The node's network exists only inside the
// sandbox's network namespace, so it cannot clash with the machine's own.
const (
	// NetNS is the name of the network namespace all parts run in.
	NetNS = "serin-sandbox"
	// NodeName is the name of the only Kubernetes node.
	NodeName = "serin"
	// NodeAddress is the node's address.
	NodeAddress = "10.77.0.10"
	// PodCIDR is the range pod addresses come from.
	PodCIDR = "10.78.0.0/22"
	// ServiceCIDR is the range Service addresses come from.
	ServiceCIDR = "10.96.0.0/16"
	// DNSAddress is the Service address of the cluster's DNS.
	DNSAddress = "10.96.0.10"
	// BootstrapPrefix is how pods name images in the bootstrap registry.
	BootstrapPrefix = "bootstrap.local:5001"

	// KubernetesIP is the Service address of the API server.
	KubernetesIP = "10.96.0.1"
	// CgroupName is the parent of every pod's control group.
	CgroupName = "serin-sandbox"
)

// Ports inside the sandbox.
const (
	// APIPort is the API server's, on the node's loopback, and the host's.
	APIPort = 16443
	// BootstrapPort is the bootstrap registry's.
	BootstrapPort = 5001
	// RegistryPort leads to RegistryNode, Serin's embedded registry.
	RegistryPort = 5000
	// RegistryNode is the NodePort of Serin's embedded registry.
	RegistryNode = 30500
	// PrometheusPort is Prometheus'.
	PrometheusPort = 9090
	// GiteaPort is Gitea's.
	GiteaPort = 3000
	// GatewayPort is Traefik's web entrypoint.
	GatewayPort = 8000
	// TraefikMetricsPort is Traefik's entrypoint for metrics and its ping.
	TraefikMetricsPort = 8082
)

// Ports on the host's loopback that lead into the sandbox.
const (
	// HostPrometheusPort leads to Prometheus.
	HostPrometheusPort = 19090
	// HostBootstrapPort leads to the bootstrap registry.
	HostBootstrapPort = 15001
	// HostGiteaPort leads to Gitea.
	HostGiteaPort = 13000
	// HostGatewayPort leads to Traefik's web entrypoint.
	HostGatewayPort = 18000
)

const modulePath = "github.com/serin-gitops/serin"

// LocalNames lead to the node's address inside the sandbox and for Cluster.Dial.
var LocalNames = []string{"bootstrap.local", "registry.local", "gitea.local", "gateway.local", "prometheus.local"}

// Layout knows where the sandbox keeps its files. Everything it makes is under
// the cache directory.
type Layout struct {
	Root  string // the repository
	Cache string // the cache directory: build results, and Dir
	Dir   string // state of the running sandbox
}

// New fills in the defaults: the repository is the module around the
// working directory, the cache is $SERIN_CACHE or .cache in the repository.
func New(root, cache string) (Layout, error) {
	var err error
	if root == "" {
		if root, err = findRoot(); err != nil {
			return Layout{}, err
		}
	}
	if cache == "" {
		cache = os.Getenv("SERIN_CACHE")
	}
	if cache == "" {
		cache = filepath.Join(root, ".cache")
	}
	if root, err = filepath.Abs(root); err != nil {
		return Layout{}, err
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return Layout{}, err
	}
	return Layout{Root: root, Cache: cache, Dir: filepath.Join(cache, "sandbox")}, nil
}

// findRoot walks up from the working directory to the go.mod of this project.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no module %s above %s: run inside the repository or set Options.Root", modulePath, start)
		}
	}
}

// Path joins names under the sandbox's state directory.
func (l Layout) Path(names ...string) string {
	return filepath.Join(append([]string{l.Dir}, names...)...)
}

// Tool is where the built binary of that name lies.
func (l Layout) Tool(name string) string { return filepath.Join(l.Cache, "tools", name) }

// Bin is a name by which a multi-call binary is called.
func (l Layout) Bin(name string) string { return l.Path("bin", name) }

// Log is the file a part writes its output to.
func (l Layout) Log(part string) string { return l.Path("logs", part+".log") }

// LastLog is what its last process wrote, before the one of Log.
func (l Layout) LastLog(part string) string { return l.Path("logs", part+".last.log") }

// Kubeconfig is the file of that identity; the administrator's is the one people use.
func (l Layout) Kubeconfig(identity string) string {
	if identity == IdentityAdmin {
		return l.Path("kubeconfig")
	}
	return l.Path("pki", identity+".kubeconfig")
}

// ContainerdSocket is where containerd of the sandbox listens.
func (l Layout) ContainerdSocket() string { return l.Path("run", "containerd", "containerd.sock") }

// The identities of the cluster's clients; each gets a certificate and a kubeconfig.
const (
	// IdentityAdmin is people and tests.
	IdentityAdmin = "admin"
	// IdentityControllerManager is kube-controller-manager.
	IdentityControllerManager = "controller-manager"
	// IdentityScheduler is kube-scheduler.
	IdentityScheduler = "scheduler"
	// IdentityKubelet is the node.
	IdentityKubelet = "kubelet"
	// IdentityProxy is kube-proxy.
	IdentityProxy = "proxy"
)

// Profile says how much of the sandbox runs.
type Profile string

const (
	// Light is Kubernetes, the bootstrap registry and Prometheus.
	Light Profile = "light"
	// Full adds Gitea, Flux and Traefik.
	Full Profile = "full"
	// Servers is no sandbox: the metric servers that e2e/servers tries, built only.
	Servers Profile = "servers"
)

// PollInterval is how often something is looked at that is waited for.
const PollInterval = 100 * time.Millisecond

// WriteFile replaces a file as a whole, so that a reader never sees half of it,
// and makes its directory.
func WriteFile(path string, text []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".next-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }()
	_, err = next.Write(text)
	if closeErr := next.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(next.Name(), mode)
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	return err
}

// HostPort joins a host and a port.
func HostPort(host string, port int) string { return host + ":" + strconv.Itoa(port) }

// LockFile takes an exclusive lock, waiting for whoever holds it. The kernel
// releases it when the holder ends, however it ends.
func LockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}
