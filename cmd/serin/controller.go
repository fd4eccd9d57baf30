package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/pipeline"
	"github.com/serin-gitops/serin/controllers/promotion"
	"github.com/serin-gitops/serin/controllers/rollout"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/registry/oci"
	"github.com/serin-gitops/serin/traffic/gatewayapi"
	"github.com/serin-gitops/serin/traffic/replicas"
	"github.com/serin-gitops/serin/web/webhooks"
)

// flags of the controller.
type controllerFlags struct {
	metricsAddress, hooksAddress string
	admissionAddress             string
	cacheDir                     string
	embedded                     string
	webhookSecrets               string
	prometheus                   string
	prometheusQueries            float64
	leaderElect                  bool
	namespace, holder            string
	watch                        []string
	concurrency                  int
	debug                        bool
}

func controllerCommand() *cobra.Command {
	var f controllerFlags
	cmd := &cobra.Command{
		Use:     "controller",
		Short:   "Run the controller",
		GroupID: "run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	set := cmd.Flags()
	set.StringVar(&f.metricsAddress, "metrics-address", ":8080", "where /metrics, /healthz and /readyz are served")
	set.StringVar(&f.hooksAddress, "hooks-address", ":9292", "where webhooks are received, under /hooks/")
	set.StringVar(&f.admissionAddress, "admission-address", ":9443", "where the API server asks whether Rollouts and templates are right; empty switches that off")
	set.StringVar(&f.cacheDir, "cache-dir", "/var/cache/serin", "where Git stores are kept; it may be emptied at any time")
	set.StringVar(&f.embedded, "embedded", "", "a file that configures the embedded Git server, registry and sync")
	set.StringVar(&f.webhookSecrets, "webhook-secret-file", "", "a file with the secrets that webhooks are accepted with, one a line; without it none are")
	set.StringVar(&f.prometheus, "prometheus", "http://prometheus.monitoring:9090", "the metric source of Rollouts that name none")
	set.Float64Var(&f.prometheusQueries, "prometheus-queries", prometheus.DefaultQueriesPerSecond, "the most queries a second to one metric source")
	set.BoolVar(&f.leaderElect, "leader-elect", true, "act only while holding the lease, so that there may be two of it")
	set.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "the namespace that it runs in, for the lease")
	set.StringVar(&f.holder, "lease-holder", podHolder(), "who holds the lease: one that is started again as the same holder goes on at once, so two at a time may never be; empty makes up a name")
	set.StringSliceVar(&f.watch, "watch-namespaces", nil, "the namespaces to work in; all, where none is given")
	set.IntVar(&f.concurrency, "concurrency", 8, "how many objects of a kind are reconciled at once")
	set.BoolVar(&f.debug, "debug", false, "log more")
	return cmd
}

// scheme knows every kind that Serin reads or writes by type.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	utilruntime.Must(gatewayv1.Install(s))
	return s
}

func (f *controllerFlags) run(ctx context.Context) error {
	log := zap.New(zap.UseDevMode(f.debug))
	ctrl.SetLogger(log)
	ctx = logr.NewContext(ctx, log)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// The budget towards the API server; idle objects need none of it.
	config.QPS, config.Burst = 50, 100
	namespaces := map[string]cache.Config{}
	for _, namespace := range f.watch {
		namespaces[namespace] = cache.Config{}
	}
	lease, err := f.lease(config)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme(),
		Cache:                         cache.Options{DefaultNamespaces: namespaces, ByObject: rollout.Cached()},
		Logger:                        log,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       f.namespace,
		LeaderElectionReleaseOnCancel: true,
		RenewDeadline:                 new(renewDeadline),
		HealthProbeBindAddress:        "0",
		Metrics: metricsserver.Options{BindAddress: f.metricsAddress, ExtraHandlers: map[string]http.Handler{
			"/healthz": healthz.CheckHandler{Checker: healthz.Ping},
			"/readyz":  healthz.CheckHandler{Checker: healthz.Ping},
		}},

		LeaderElectionResourceLockInterface: lease,
	})
	if err != nil {
		return err
	}
	h := &hub{}
	repositories := gitrepo.New(f.cacheDir+"/git", gitrepo.Options{Requested: countGitRequest})
	if err := f.addServers(mgr, repositories, h); err != nil {
		return err
	}
	if err := f.addControllers(ctx, mgr, repositories, h); err != nil {
		return err
	}
	if err := f.addAdmission(mgr); err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return errors.Join(mgr.Start(ctx), repositories.Close())
}

// addServers adds the webhook receiver and, where configured, the embedded
// servers.
func (f *controllerFlags) addServers(mgr ctrl.Manager, repositories *gitrepo.Repositories, h *hub) error {
	secrets, err := secretsIn(f.webhookSecrets)
	if err != nil {
		return fmt.Errorf("--webhook-secret-file: %w", err)
	}
	receiver, err := webhooks.New(webhooks.Options{
		Secrets: func(scope string) []string {
			if scope == "" {
				return secrets
			}
			return nil
		},
		Wake: h.webhook, Registerer: metrics.Registry,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(webhooks.Prefix, receiver)
	if err := mgr.Add(&httpServer{name: "webhook", address: f.hooksAddress, handler: mux}); err != nil {
		return err
	}
	if f.embedded == "" {
		return nil
	}
	embedded, err := readEmbedded(f.embedded)
	if err != nil {
		return fmt.Errorf("--embedded: %w", err)
	}
	return embed(mgr, embedded, repositories, f.namespace, h)
}

func (f *controllerFlags) addControllers(ctx context.Context, mgr ctrl.Manager, repositories *gitrepo.Repositories, h *hub) error {
	secrets := access.Secrets{Reader: mgr.GetAPIReader()}
	git := &access.Git{Secrets: secrets, Repositories: repositories, Hints: &h.hints, Now: time.Now}
	options := controller.Options{MaxConcurrentReconciles: f.concurrency}
	if err := (&pipeline.Reconciler{
		Client: mgr.GetClient(), Uncached: mgr.GetAPIReader(), Git: git, Secrets: secrets, Catalog: oci.New(),
		Hints: &h.hints, Recorder: mgr.GetEventRecorder("serin-pipeline"), Now: time.Now,
	}).SetupWithManager(ctx, mgr, options); err != nil {
		return fmt.Errorf("pipeline controller: %w", err)
	}
	if err := (&promotion.Reconciler{
		Client: mgr.GetClient(), Uncached: mgr.GetAPIReader(), Git: git, Hosts: hosts{}, Signers: signers{}, Syncer: h,
		Hints: &h.hints, Recorder: mgr.GetEventRecorder("serin-promotion"), Now: time.Now,
	}).SetupWithManager(ctx, mgr, options); err != nil {
		return fmt.Errorf("promotion controller: %w", err)
	}
	analyst, err := f.analyst(mgr, secrets)
	if err != nil {
		return err
	}
	gate := replicas.Gate{Client: mgr.GetClient()}
	routes, err := routesOf(mgr)
	if err != nil {
		return err
	}
	if err := (&rollout.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("serin-rollout"),
		Replicas: replicas.Router{Client: mgr.GetClient(), Gate: gate}, Gateway: gatewayapi.New(mgr.GetClient()), Gate: gate,
		Analyst: analyst, Accept: analyst.Accept, Now: time.Now, Nodes: mgr.GetAPIReader(),
	}).SetupWithManager(ctx, mgr, rollout.Options{Routes: routes, Concurrency: f.concurrency}); err != nil {
		return fmt.Errorf("rollout controller: %w", err)
	}
	return nil
}

// routesOf are the kinds of route that the cluster has; a cluster without
// Gateway API has none.
func routesOf(mgr ctrl.Manager) ([]client.Object, error) {
	var routes []client.Object
	for _, route := range []client.Object{&gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}} {
		kinds, _, err := mgr.GetScheme().ObjectKinds(route)
		if err != nil {
			return nil, err
		}
		_, err = mgr.GetRESTMapper().RESTMapping(kinds[0].GroupKind(), kinds[0].Version)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("discover %s: %w", kinds[0].Kind, err)
		}
		routes = append(routes, route)
	}
	return routes, nil
}
