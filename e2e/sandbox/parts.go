package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Names of parts that code refers to.
const (
	partForward    = "forward"
	partRegistry   = "registry"
	partContainerd = "containerd"
	partKubelet    = "kubelet"
	partAPI        = "kube-apiserver"
)

// readyTimeout bounds how long a started part may take to answer. It is wide
// because a loaded machine is slow, and a part that ends is noticed at once.
const readyTimeout = 3 * time.Minute

// part is one background process of the sandbox.
type part struct {
	name string
	argv []string
	env  []string
	// host runs it in the host's network namespace instead of the sandbox's.
	host bool
	// clusterDNS makes the part resolve names as pods do, Services and localNames,
	// where the machine's own resolver knows neither.
	clusterDNS bool
	// before prepares what the part needs that other parts provide.
	before func(ctx context.Context, c *Cluster) error
	// ready tells whether the part does its work; nil: once it runs.
	ready func(ctx context.Context, c *Cluster) error
}

// parts lists the parts of a profile in the order they start.
func parts(l layout, profile Profile) []part {
	if profile == Full {
		return append(lightParts(l), fullParts(l)...)
	}
	return lightParts(l)
}

// lightParts are the parts both profiles have.
func lightParts(l layout) []part {
	node := func(port int) string { return hostPort(NodeAddress, port) }
	return []part{
		{name: partForward, host: true, argv: []string{l.tool("sandbox"), "serve", "forward"}, ready: forwardReady},
		{name: partRegistry, host: true, argv: []string{l.tool("sandbox"), "serve", "registry", l.path("registry")},
			ready: answers("http://" + node(bootstrapPort) + "/v2/")},
		{name: "etcd", argv: etcdArgs(l), ready: answers("http://127.0.0.1:2379/health")},
		{name: partAPI, argv: apiServerArgs(l), ready: apiReady},
		{name: "kube-controller-manager", argv: controllerManagerArgs(l), ready: controllersReady},
		{name: "kube-scheduler", argv: schedulerArgs(l), ready: answers("https://127.0.0.1:10259/readyz")},
		{name: partContainerd, argv: []string{"/usr/bin/containerd", "--config", l.path("config", "containerd.toml")},
			before: pushPause, ready: containerdReady},
		{name: partKubelet, argv: kubeletArgs(l), ready: answers("http://127.0.0.1:10248/healthz")},
		{name: "kube-proxy", argv: proxyArgs(l), ready: answers("http://" + node(10256) + "/healthz")},
		{name: "coredns", argv: []string{l.tool("coredns"), "-conf", l.path("config", "Corefile")}, ready: answers("http://" + node(8181) + "/ready")},
		{name: "discovery", argv: []string{l.tool("sandbox"), "serve", "discovery", l.kubeconfig(identityAdmin), l.path("targets", "kubernetes.json")},
			ready: targetsWritten},
		{name: "prometheus", argv: prometheusArgs(l), ready: answers("http://" + node(9090) + "/-/ready")},
	}
}

func etcdArgs(l layout) []string {
	return []string{
		l.bin("etcd"), "--name=default", "--data-dir=" + l.path("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380",
		// A sandbox need not survive a power cut, and a small disk is slow to sync.
		"--unsafe-no-fsync", "--log-level=warn",
	}
}

func apiServerArgs(l layout) []string {
	pki := func(name string) string { return l.path("pki", name) }
	return []string{
		l.bin(partAPI), "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", apiPort), "--advertise-address=" + NodeAddress,
		"--service-cluster-ip-range=" + ServiceCIDR, "--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
		"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-account.key"), "--service-account-signing-key-file=" + pki("service-account.key"),
		"--endpoint-reconciler-type=lease",
	}
}

func controllerManagerArgs(l layout) []string {
	config := l.kubeconfig(identityControllerManager)
	return []string{
		l.bin("kube-controller-manager"), "--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.path("pki", "service-account.key"), "--root-ca-file=" + l.path("pki", "ca.crt"),
		"--tls-cert-file=" + l.path("pki", "server.crt"), "--tls-private-key-file=" + l.path("pki", "server.key"),
	}
}

func schedulerArgs(l layout) []string {
	config := l.kubeconfig(identityScheduler)
	return []string{
		l.bin("kube-scheduler"), "--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false",
		"--tls-cert-file=" + l.path("pki", "server.crt"), "--tls-private-key-file=" + l.path("pki", "server.key"),
	}
}

func kubeletArgs(l layout) []string {
	return []string{
		l.bin(partKubelet), "--config=" + l.path("config", "kubelet.yaml"), "--kubeconfig=" + l.kubeconfig(identityKubelet),
		"--hostname-override=" + NodeName, "--node-ip=" + NodeAddress,
		"--root-dir=" + l.path("kubelet-root"), "--cert-dir=" + l.path("kubelet-root", "pki"),
	}
}

func proxyArgs(l layout) []string {
	return []string{
		l.bin("kube-proxy"), "--kubeconfig=" + l.kubeconfig(identityProxy), "--hostname-override=" + NodeName,
		"--proxy-mode=nftables", "--cluster-cidr=" + PodCIDR,
		"--healthz-bind-address=" + hostPort(NodeAddress, 10256), "--metrics-bind-address=127.0.0.1:10249",
		// The machine's connection tracking is shared with everything else: leave its sizes alone.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
	}
}

func prometheusArgs(l layout) []string {
	return []string{
		"/usr/bin/prometheus", "--config.file=" + l.path("config", "prometheus.yml"),
		"--storage.tsdb.path=" + l.path("prometheus"), "--storage.tsdb.retention.time=6h",
		"--web.listen-address=0.0.0.0:9090", "--web.enable-lifecycle", "--log.level=warn",
	}
}

// answers waits until a URL inside the sandbox answers 200.
func answers(url string) func(context.Context, *Cluster) error {
	return func(ctx context.Context, c *Cluster) error {
		client, err := c.probeClient()
		if err != nil {
			return err
		}
		return until(ctx, func(ctx context.Context) error { return probe(ctx, client, url) })
	}
}

// until repeats a check until it passes; when time runs out it returns what the
// check said last.
func until(ctx context.Context, check func(context.Context) error) error {
	last := errors.New("was not checked")
	err := wait.PollUntilContextCancel(ctx, 2*pollInterval, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w (%w)", last, context.Cause(ctx))
	}
	return nil
}

func apiReady(ctx context.Context, c *Cluster) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// controllersReady waits for the work of the first controllers: without the
// default service account no pod can be created.
func controllersReady(ctx context.Context, c *Cluster) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// targetsWritten waits until the first list of targets is there.
func targetsWritten(ctx context.Context, c *Cluster) error {
	return until(ctx, func(context.Context) error {
		_, err := os.Stat(c.layout.path("targets", "kubernetes.json"))
		return err
	})
}

// nodeReady waits until the node takes pods.
func nodeReady(ctx context.Context, c *Cluster) error {
	client, err := c.clientset()
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool { return condition.Type == corev1.NodeReady })
		if at < 0 || node.Status.Conditions[at].Status != corev1.ConditionTrue {
			return fmt.Errorf("node %s is not ready: %v", NodeName, node.Status.Conditions)
		}
		return nil
	})
}
