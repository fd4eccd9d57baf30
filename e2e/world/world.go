// Package world puts together what a story needs: a sandbox with Serin in it, a
// registry that images of the example are pushed to, a deploy repository with
// its overlays, a Pipeline, and people's traffic.
package world

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/progress"
	"github.com/serin-gitops/serin/e2e/sandbox"
)

// Names in the world.
const (
	// Namespace of the first line's Pipeline, its Releases and Promotions.
	Namespace = "ipfs"
	// Pipeline is its name, in every line.
	Pipeline = "ipfs-kit"
	// Worker is the name of the workers' Deployment, Service, Rollout and route.
	Worker = "ipfs-worker"
	// SerinNamespace is where Serin runs.
	SerinNamespace = "serin-system"

	gitUser = "deploy"
)

// Environments in order, each with its namespace.
var Environments = []string{"dev", "staging", "prod"}

// Options of Start.
type Options struct {
	Profile sandbox.Profile
	// Kubeconfig of an existing cluster to use, in profile light.
	Kubeconfig string
	// Registry is where an existing cluster pulls images from, host and path,
	// after http:// where it has no TLS; RegistryPush is its name here, where
	// that is another.
	Registry, RegistryPush string
	// Prometheus is an existing cluster's, as pods reach it; empty means
	// Serin's default.
	Prometheus string
	// Progress is written to as parts come up; nil discards it.
	Progress io.Writer
	// Overlays changes files of the deploy repository before it is pushed.
	Overlays func(files map[string][]byte)
	// Lines are those that Begin may add, in profile light of the sandbox: the
	// embedded Git server and sync know them from their start.
	Lines []LineOptions
}

// LineOptions are a line's name and which of Environments it leads through, the first
// of them first.
type LineOptions struct {
	Name         string
	Environments []string
}

// World is a sandbox with everything in it. Its own line has all environments.
type World struct {
	*sandbox.Cluster
	*Line
	Client client.Client
	// Watched reads from watches, a moment late: Serin's objects, and pods of canaries
	// (of other pods it knows none).
	Watched client.Reader
	Builder *images.Builder

	options Options
	host    host
	// serin and load are the references of these images.
	serin, load string
	// command is the path of Serin's command line.
	command string
	// unwatch ends the watches.
	unwatch func() error
	// building is held by who builds an image: two cores are no more at once.
	building sync.Mutex
}

// Start brings everything up, with v1.0.0 of the example in every environment.
// Each call starts from nothing but the sandbox: what an earlier world left in
// the cluster is removed first. Where it fails after the cluster was reached, the
// World is returned too, to be looked at, removed and closed.
func Start(ctx context.Context, options Options) (*World, error) {
	if options.Progress == nil {
		options.Progress = io.Discard
	}
	if _, err := lock(); err != nil {
		return nil, err
	}
	// Clients have nothing to log that an error does not say: one complains at length
	// where nobody said so, the other when its watches end.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	root, err := images.Root()
	if err != nil {
		return nil, err
	}
	cluster, err := clusterOf(ctx, options)
	if err != nil {
		return nil, err
	}
	w := &World{Cluster: cluster, options: options, Builder: &images.Builder{Root: root, Cache: filepath.Join(cacheOf(root), "images")}}
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	w.host = newHost(w)
	w.Line = &Line{w: w, read: w.Watched, name: Namespace, image: imageName, repository: deployRepository, environments: Environments}
	if err := progress.Run(ctx, options.Progress, []progress.Part{
		{Name: "removal of what an earlier run left", Run: w.clear},
		{Name: "Serin's image, built and pushed", Run: w.pushSerin},
		{Name: "Serin in the cluster", Run: w.deploySerin},
		{Name: "v1.0.0 in the registry", Run: w.pushFirst},
		{Name: "deploy repository with three overlays", Run: w.seed},
		{Name: "Pipeline, until v1.0.0 runs in every environment", Run: w.applyPipeline},
	}); err != nil {
		return w, err
	}
	return w, nil
}

// clusterOf brings the sandbox up, or takes the existing cluster.
func clusterOf(ctx context.Context, options Options) (*sandbox.Cluster, error) {
	if options.Kubeconfig == "" {
		return sandbox.Up(ctx, sandbox.Options{Profile: options.Profile, Progress: options.Progress})
	}
	if options.Profile == sandbox.Full {
		return nil, errors.New("profile full is the sandbox's own Gitea, Flux and Traefik: use profile light with an existing cluster")
	}
	return sandbox.Existing(ctx, options.Kubeconfig)
}

// Close ends what reaches into the cluster; the world goes on there.
func (w *World) Close() error {
	return errors.Join(w.Line.Close(), w.host.close(), w.unwatch())
}

func cacheOf(root string) string {
	if cache := os.Getenv("SERIN_CACHE"); cache != "" {
		return cache
	}
	return filepath.Join(root, ".cache")
}

// Scheme knows Kubernetes' kinds and Serin's.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// connect makes the client, and what reads from watches.
func (w *World) connect(ctx context.Context) error {
	config, err := w.RESTConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	if w.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return w.watch(ctx, config, scheme)
}

// BuildImage builds without pushing, so that a later push is quick.
func (w *World) BuildImage(ctx context.Context, version string, variant images.Variant) error {
	_, err := w.build(ctx, version, variant)
	return err
}

func (w *World) build(ctx context.Context, version string, variant images.Variant) (v1.Image, error) {
	w.building.Lock()
	defer w.building.Unlock()
	return w.Builder.IPFSKit(ctx, version, variant)
}

// KillSerin ends Serin's process in its pod at once, as kill -9 does; the
// kubelet starts it again.
func (w *World) KillSerin(ctx context.Context) error {
	var pods corev1.PodList
	if err := w.Client.List(ctx, &pods, client.InNamespace(SerinNamespace), client.MatchingLabels{"app": "serin"}); err != nil {
		return err
	}
	killed := 0
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Running == nil {
				continue
			}
			if err := killContainer(status.ContainerID); err != nil {
				return err
			}
			killed++
		}
	}
	if killed == 0 {
		return errors.New("kill Serin: no container of it runs")
	}
	return nil
}
