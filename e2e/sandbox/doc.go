// Package sandbox runs a real Kubernetes cluster on a bare Linux machine, without
// Docker: the Kubernetes parts are built from Go modules, the container runtime
// and Prometheus are Debian's packages, and everything runs inside one network
// namespace from which no packet can leave.
//
// # Use
//
//	cluster, err := sandbox.Up(ctx, sandbox.Options{Profile: sandbox.Light, Progress: os.Stderr})
//	config, err := cluster.RESTConfig()
//	conn, err := cluster.Dial(ctx, "tcp", "10.78.0.12:8080")              // any pod, Service or node address
//	conn, err = cluster.Dial(ctx, "tcp", "shop.staging.svc:80")           // or a Service by name
//	ref, err := cluster.PushBinary(ctx, "shop:v1", "out/shop")            // bootstrap.local:5001/shop:v1
//	err = cluster.KillPart(ctx, "prometheus")                             // and StartPart to bring it back
//
// Up twice is up once: parts that run are kept, parts that died are started.
// Attach finds a sandbox that is up without starting anything. There is one
// sandbox on a machine, since its network namespace has a fixed name; tests
// share it and keep to Kubernetes namespaces of their own.
//
// # Names and addresses
//
// Inside the sandbox (pods and the node) these names lead to the node's address:
//
//	bootstrap.local:5001  the bootstrap registry; from the host Cluster.BootstrapRegistry
//	registry.local:5000   forwarded to NodePort 30500, Serin's embedded registry
//	gitea.local:3000      Gitea (profile full)
//	gateway.local:8000    Traefik's web entrypoint (profile full)
//
// Parts of profile full resolve Service names too, as NAME.NAMESPACE.svc, so
// that Gitea can send webhooks to Services.
//
// containerd pulls from the first three over plain HTTP. Prometheus is the
// Service prometheus.monitoring:9090 in the cluster. It scrapes, every 2 s, pods
// and Services annotated prometheus.io/scrape=true (prometheus.io/port and
// prometheus.io/path as usual) with the labels namespace, pod, node, app,
// pod_template_hash and every pod label of the form serin.dev/NAME as
// serin_dev_NAME; and the targets of the file_sd files in Cluster.TargetsDir.
//
// # Profile full
//
// Gitea (Cluster.Gitea) is Git host and OCI registry; images of the
// administrator's packages are pulled without a login. Its links follow the name
// it was reached by. Flux' source-controller and kustomize-controller sync
// GitRepository and Kustomization objects of all namespaces. Traefik serves
// Gateways of class GatewayClass whose listener has GatewayPort; a change of
// weights takes effect within a second, and its metrics are Prometheus' job
// "traefik", by service and entrypoint, with buckets from 1 ms to 10 s.
//
// The file "environment" in the state directory holds, in both profiles, what
// tests and people need to reach it all, as shell variables: `set -a; . FILE`.
//
// # Privilege
//
// It needs root: namespaces, mounts and cgroups. It only ever touches its own:
// the network namespace serin-sandbox, the cgroup serin-sandbox, what is mounted
// under its cache directory, and /var/lib/ipfs-kit, the example's volumes, when
// that was not there before.
package sandbox
