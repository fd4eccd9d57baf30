package sandbox

import "github.com/serin-gitops/serin/e2e/sandbox/internal/layout"

// Fixed addresses and names. The node's network exists only inside the
// sandbox's network namespace, so it cannot clash with the machine's own.
const (
	// NetNS is the name of the network namespace all parts run in.
	NetNS = layout.NetNS
	// NodeName is the name of the only Kubernetes node.
	NodeName = layout.NodeName
	// NodeAddress is the node's address.
	NodeAddress = layout.NodeAddress
	// PodCIDR is the range pod addresses come from.
	PodCIDR = layout.PodCIDR
	// ServiceCIDR is the range Service addresses come from.
	ServiceCIDR = layout.ServiceCIDR
	// DNSAddress is the Service address of the cluster's DNS.
	DNSAddress = layout.DNSAddress
	// BootstrapPrefix is how pods name images in the bootstrap registry.
	BootstrapPrefix = layout.BootstrapPrefix
	// PrometheusInCluster is Prometheus as pods reach it.
	PrometheusInCluster = "http://prometheus.monitoring:9090"
)

// Profile says how much of the sandbox runs.
type Profile = layout.Profile

// The profiles.
const (
	// Light is Kubernetes, the bootstrap registry and Prometheus.
	Light = layout.Light
	// Full adds Gitea, Flux and Traefik.
	Full = layout.Full
	// Servers is no sandbox: the metric servers that e2e/servers tries, for Build only.
	Servers = layout.Servers
)
