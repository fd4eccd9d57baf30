package configs

import (
	"fmt"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// EtcdArgs is the command line of etcd.
func EtcdArgs(l layout.Layout) []string {
	return []string{
		l.Bin("etcd"), "--name=default", "--data-dir=" + l.Path("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380",
		// A sandbox need not survive a power cut, and a small disk is slow to sync.
		"--unsafe-no-fsync", "--log-level=warn",
	}
}

// APIServerArgs is the command line of kube-apiserver.
func APIServerArgs(l layout.Layout) []string {
	pki := func(name string) string { return l.Path("pki", name) }
	return []string{
		l.Bin("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", layout.APIPort), "--advertise-address=" + layout.NodeAddress,
		"--service-cluster-ip-range=" + layout.ServiceCIDR, "--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
		"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-account.key"), "--service-account-signing-key-file=" + pki("service-account.key"),
		"--endpoint-reconciler-type=lease",
	}
}

// ControllerManagerArgs is the command line of kube-controller-manager.
func ControllerManagerArgs(l layout.Layout) []string {
	config := l.Kubeconfig(layout.IdentityControllerManager)
	return []string{
		l.Bin("kube-controller-manager"), "--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.Path("pki", "service-account.key"), "--root-ca-file=" + l.Path("pki", "ca.crt"),
		"--tls-cert-file=" + l.Path("pki", "server.crt"), "--tls-private-key-file=" + l.Path("pki", "server.key"),
	}
}

// SchedulerArgs is the command line of kube-scheduler.
func SchedulerArgs(l layout.Layout) []string {
	config := l.Kubeconfig(layout.IdentityScheduler)
	return []string{
		l.Bin("kube-scheduler"), "--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false",
		"--tls-cert-file=" + l.Path("pki", "server.crt"), "--tls-private-key-file=" + l.Path("pki", "server.key"),
	}
}

// KubeletArgs is the command line of the kubelet.
func KubeletArgs(l layout.Layout) []string {
	return []string{
		l.Bin("kubelet"), "--config=" + l.Path("config", "kubelet.yaml"), "--kubeconfig=" + l.Kubeconfig(layout.IdentityKubelet),
		"--hostname-override=" + layout.NodeName, "--node-ip=" + layout.NodeAddress,
		"--root-dir=" + l.Path("kubelet-root"), "--cert-dir=" + l.Path("kubelet-root", "pki"),
	}
}

// ProxyArgs is the command line of kube-proxy.
func ProxyArgs(l layout.Layout) []string {
	return []string{
		l.Bin("kube-proxy"), "--kubeconfig=" + l.Kubeconfig(layout.IdentityProxy), "--hostname-override=" + layout.NodeName,
		"--proxy-mode=nftables", "--cluster-cidr=" + layout.PodCIDR,
		"--healthz-bind-address=" + layout.HostPort(layout.NodeAddress, 10256), "--metrics-bind-address=127.0.0.1:10249",
		// The machine's connection tracking is shared with everything else: leave its sizes alone.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
	}
}

// PrometheusArgs is the command line of Prometheus.
func PrometheusArgs(l layout.Layout) []string {
	return []string{
		"/usr/bin/prometheus", "--config.file=" + l.Path("config", "prometheus.yml"),
		"--storage.tsdb.path=" + l.Path("prometheus"), "--storage.tsdb.retention.time=6h",
		"--web.listen-address=0.0.0.0:9090", "--web.enable-lifecycle", "--log.level=warn",
	}
}

// TraefikArgs is the command line of Traefik.
func TraefikArgs(l layout.Layout) []string {
	return []string{
		l.Tool("traefik"),
		"--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO", "--log.nocolor",
		"--entrypoints.web.address=" + layout.HostPort(layout.NodeAddress, layout.GatewayPort),
		"--entrypoints.metrics.address=" + layout.HostPort(layout.NodeAddress, layout.TraefikMetricsPort),
		"--providers.kubernetesgateway",
		"--providers.kubernetesgateway.endpoint=https://" + layout.HostPort("127.0.0.1", layout.APIPort),
		"--providers.kubernetesgateway.token=" + TraefikTokenFile(l),
		"--providers.kubernetesgateway.certauthfilepath=" + l.Path("pki", "ca.crt"),
		"--providers.kubernetesgateway.statusaddress.ip=" + layout.NodeAddress,
		// A weight that changed is served within this time, not the default 2 s.
		"--providers.providersthrottleduration=500ms",
		"--ping", "--ping.entrypoint=metrics",
		"--metrics.prometheus", "--metrics.prometheus.entrypoint=metrics",
		"--metrics.prometheus.addentrypointslabels", "--metrics.prometheus.addrouterslabels", "--metrics.prometheus.addserviceslabels",
		"--metrics.prometheus.buckets=0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.2,0.3,0.5,0.75,1,1.5,2.5,5,10",
	}
}

// TraefikTokenFile is where Traefik reads its service account token.
func TraefikTokenFile(l layout.Layout) string { return l.Path("pki", "traefik.token") }
