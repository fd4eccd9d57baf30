package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	// PrometheusInCluster is Prometheus as pods reach it.
	PrometheusInCluster = "http://prometheus.monitoring:9090"

	nodePrefix    = "24"
	nodeGateway   = "10.77.0.1"
	nodeLink      = "node0"
	kubernetesIP  = "10.96.0.1"
	apiPort       = 16443
	bootstrapPort = 5001
	registryPort  = 5000
	registryNode  = 30500
	giteaPort     = 3000
	gatewayPort   = 8000

	hostPrometheusPort = 19090
	hostBootstrapPort  = 15001
	hostGiteaPort      = 13000
	hostGatewayPort    = 18000

	modulePath = "github.com/serin-gitops/serin"
	cgroupName = "serin-sandbox"
)

// localNames lead to the node's address inside the sandbox and for Cluster.Dial.
var localNames = []string{"bootstrap.local", "registry.local", "gitea.local", "gateway.local", "prometheus.local"}

// layout knows where the sandbox keeps its files. Everything it makes is under
// the cache directory.
type layout struct {
	root  string // the repository
	cache string // the cache directory: build results, and dir
	dir   string // state of the running sandbox
}

// newLayout fills in the defaults: the repository is the module around the
// working directory, the cache is $SERIN_CACHE or .cache in the repository.
func newLayout(root, cache string) (layout, error) {
	var err error
	if root == "" {
		if root, err = findRoot(); err != nil {
			return layout{}, err
		}
	}
	if cache == "" {
		cache = os.Getenv("SERIN_CACHE")
	}
	if cache == "" {
		cache = filepath.Join(root, ".cache")
	}
	if root, err = filepath.Abs(root); err != nil {
		return layout{}, err
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return layout{}, err
	}
	return layout{root: root, cache: cache, dir: filepath.Join(cache, "sandbox")}, nil
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

// path joins names under the sandbox's state directory.
func (l layout) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

// tool is where the built binary of that name lies.
func (l layout) tool(name string) string { return filepath.Join(l.cache, "tools", name) }

// bin is a name by which a multi-call binary is called.
func (l layout) bin(name string) string { return l.path("bin", name) }

// log is the file a part writes its output to.
func (l layout) log(part string) string { return l.path("logs", part+".log") }

// kubeconfig is the file of that identity; the administrator's is the one people use.
func (l layout) kubeconfig(identity string) string {
	if identity == identityAdmin {
		return l.path("kubeconfig")
	}
	return l.path("pki", identity+".kubeconfig")
}

// containerdSocket is where containerd of the sandbox listens.
func (l layout) containerdSocket() string { return l.path("run", "containerd", "containerd.sock") }
