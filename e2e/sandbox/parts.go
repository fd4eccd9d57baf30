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

	"github.com/serin-gitops/serin/e2e/sandbox/internal/configs"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
)

// Names of parts that code refers to.
const (
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
func parts(l layout.Layout, profile Profile) []part {
	if profile == Full {
		return append(lightParts(l), fullParts(l)...)
	}
	return lightParts(l)
}

// lightParts are the parts both profiles have.
func lightParts(l layout.Layout) []part {
	node := func(port int) string { return layout.HostPort(NodeAddress, port) }
	return []part{
		{name: machine.PartForward, host: true, argv: []string{l.Tool("sandbox"), "serve", "forward"}, ready: forwardReady},
		{name: partRegistry, host: true, argv: []string{l.Tool("sandbox"), "serve", "registry", l.Path("registry")},
			ready: answers("http://" + node(layout.BootstrapPort) + "/v2/")},
		{name: "etcd", argv: configs.EtcdArgs(l), ready: answers("http://127.0.0.1:2379/health")},
		{name: partAPI, argv: configs.APIServerArgs(l), ready: apiReady},
		{name: "kube-controller-manager", argv: configs.ControllerManagerArgs(l), ready: controllersReady},
		{name: "kube-scheduler", argv: configs.SchedulerArgs(l), ready: answers("https://127.0.0.1:10259/readyz")},
		{name: partContainerd, argv: []string{"/usr/bin/containerd", "--config", l.Path("config", "containerd.toml")},
			before: pushPause, ready: containerdReady},
		{name: partKubelet, argv: configs.KubeletArgs(l), ready: answers("http://127.0.0.1:10248/healthz")},
		{name: "kube-proxy", argv: configs.ProxyArgs(l), ready: answers("http://" + node(10256) + "/healthz")},
		{name: "coredns", argv: []string{l.Tool("coredns"), "-conf", l.Path("config", "Corefile")}, ready: answers("http://" + node(8181) + "/ready")},
		{name: "discovery", argv: []string{l.Tool("sandbox"), "serve", "discovery", l.Kubeconfig(layout.IdentityAdmin), l.Path("targets", "kubernetes.json")},
			ready: targetsWritten},
		{name: "prometheus", argv: configs.PrometheusArgs(l), ready: answers("http://" + node(9090) + "/-/ready")},
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
	err := wait.PollUntilContextCancel(ctx, 2*layout.PollInterval, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w; the last look: %w", context.Cause(ctx), last)
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
		_, err := os.Stat(c.layout.Path("targets", "kubernetes.json"))
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
		if at < 0 {
			return fmt.Errorf("node %s has not said whether it is ready", NodeName)
		}
		if ready := node.Status.Conditions[at]; ready.Status != corev1.ConditionTrue {
			return fmt.Errorf("node %s is not ready: %s", NodeName, ready.Message)
		}
		return nil
	})
}
