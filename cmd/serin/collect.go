package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/serin-gitops/serin/embedded/gitserver"
	"github.com/serin-gitops/serin/embedded/registry"
)

const (
	// collectEvery is the time between two collections of what an embedded
	// server needs no more, collectAgain that after one that gave way.
	collectEvery = time.Hour
	collectAgain = time.Minute
	// collectLimit bounds one collection.
	collectLimit = 10 * time.Minute
)

var collections = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "serin_embedded_collections_total",
	Help: "Collections of what the embedded servers need no more, by server and outcome: done, busy, failed.",
}, []string{"server", "outcome"})

func init() { metrics.Registry.MustRegister(collections) } //nolint:gochecknoinits // the manager's registry is global

// errBusy says that a collection gave way to requests.
var errBusy = errors.New("busy")

// collector removes from time to time what an embedded server needs no more.
type collector struct {
	server string
	// collect returns what to log of it; errBusy asks to be called again soon.
	collect func(ctx context.Context, now time.Time) ([]any, error)
}

// NeedLeaderElection says no: every replica has its own volume.
func (c *collector) NeedLeaderElection() bool { return false }

// Start collects until ctx ends, at once for the first time.
func (c *collector) Start(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			timer.Reset(c.once(ctx, now))
		}
	}
}

// once collects and returns when to do so again.
func (c *collector) once(ctx context.Context, now time.Time) time.Duration {
	log := logr.FromContextOrDiscard(ctx).WithValues("server", c.server)
	done, err := c.collect(ctx, now)
	switch {
	case errors.Is(err, errBusy):
		collections.WithLabelValues(c.server, "busy").Inc()
		return collectAgain
	case err != nil:
		collections.WithLabelValues(c.server, "failed").Inc()
		log.Error(err, "collect what is needed no more")
	default:
		collections.WithLabelValues(c.server, "done").Inc()
		if len(done) > 0 {
			log.Info("collected what is needed no more", done...)
		}
	}
	return collectEvery
}

// collectRegistry is the embedded registry's collector.
func collectRegistry(server *registry.Registry) *collector {
	return &collector{server: "registry", collect: func(_ context.Context, now time.Time) ([]any, error) {
		done, err := server.Collect(now)
		if errors.Is(err, registry.ErrBusy) {
			return nil, errBusy
		}
		if err != nil || done == (registry.Collection{}) {
			return nil, err
		}
		return []any{"manifests", done.Manifests, "blobs", done.Blobs, "bytes", done.Bytes}, nil
	}}
}

// collectGit is the embedded Git server's collector. A collection that takes too
// long is given up and begun again the next time.
func collectGit(server *gitserver.Server) *collector {
	return &collector{server: "git", collect: func(ctx context.Context, now time.Time) ([]any, error) {
		limited, cancel := context.WithTimeout(ctx, collectLimit)
		defer cancel()
		done, err := server.Collect(limited, now)
		if errors.Is(err, gitserver.ErrBusy) {
			return nil, errBusy
		}
		if err != nil || done == (gitserver.Collection{}) {
			return nil, err
		}
		return []any{"objects", done.Objects, "packs", done.Packs, "bytes", done.Bytes}, nil
	}}
}

// measureRegistry shows how full the registry is.
func measureRegistry(server *registry.Registry) error {
	for _, gauge := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "serin_embedded_registry_bytes", Help: "Bytes of blobs, manifests and unfinished uploads in the embedded registry.",
		}, func() float64 { return float64(server.Usage().Bytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "serin_embedded_registry_limit_bytes", Help: "Bytes from which on the embedded registry takes no more.",
		}, func() float64 { return float64(server.Usage().MaxBytes) }),
	} {
		if err := metrics.Registry.Register(gauge); err != nil {
			return err
		}
	}
	return nil
}

// gitUsage shows how large the embedded Git server's repositories are.
type gitUsage struct{ server *gitserver.Server }

var gitBytes = prometheus.NewDesc("serin_embedded_git_bytes",
	"Bytes that a repository of the embedded Git server takes on disk, as last measured.", []string{"repository"}, nil)

// Describe implements prometheus.Collector.
func (u gitUsage) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- gitBytes }

// Collect implements prometheus.Collector.
func (u gitUsage) Collect(measured chan<- prometheus.Metric) {
	for name, bytes := range u.server.Usage() {
		measured <- prometheus.MustNewConstMetric(gitBytes, prometheus.GaugeValue, float64(bytes), name)
	}
}
