// Package sync is the small GitOps engine that Serin brings for installations
// without Flux or Argo CD: it renders overlays from Git and applies them by
// server-side apply, removes what left Git, and corrects drift.
//
// What it may touch is what its credentials may touch, so its sources come from
// the command line or its configuration file, never from an object in the
// cluster that somebody with fewer rights could write.
package sync

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/serin-gitops/serin/overlays"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// FieldManager owns the fields that manifests set.
	FieldManager = "serin-sync"
	// OwnerGroup begins the labels that name an object's source:
	// OwnerGroup/name and OwnerGroup/namespace.
	OwnerGroup = "sync.serin.dev"
	// PruneKey with the value PruneDisabled, as a label or annotation of an
	// object, keeps it when it leaves Git.
	PruneKey = "serin.dev/prune"
	// PruneDisabled is the value of PruneKey that keeps an object.
	PruneDisabled = "disabled"

	// DefaultInterval is how often drift is corrected.
	DefaultInterval = 5 * time.Minute
	// DefaultPoll is how often Git is asked when no push is reported.
	DefaultPoll = time.Minute
)

// Annotations of the inventory's ConfigMap, which report the last sync.
const (
	// AnnotationRevision is the commit that is applied in full.
	AnnotationRevision = "serin.dev/applied-revision"
	// AnnotationError says why the newest commit is not; absent where it is.
	AnnotationError = "serin.dev/sync-error"
	// AnnotationTime is when the report last changed (RFC 3339, UTC).
	AnnotationTime = "serin.dev/synced-at"
)

// Source is one overlay to keep applied.
type Source struct {
	// Name is a DNS label, unique among the sources.
	Name string
	// Remote, Branch and Path say which overlay.
	Remote overlays.Remote
	Branch string
	Path   string
	// Namespace holds the inventory, the ConfigMap serin-sync-NAME.
	Namespace string
	// Interval is how often drift is corrected; zero means DefaultInterval.
	Interval time.Duration
	// Poll is how often Git is asked for a new commit; zero means DefaultPoll.
	Poll time.Duration
}

// InventoryName is the name of the ConfigMap that lists what was applied.
func (s Source) InventoryName() string { return "serin-sync-" + s.Name }

// Syncer keeps sources applied; New makes one.
type Syncer struct {
	names        []string
	sources      map[string]Source
	repositories overlays.Repositories
	client       client.Client
	resources    *ssa.ResourceManager
	now          func() time.Time
	// queue is set while the controller runs.
	queue chan string
	// applied remembers, for each source, what was found applied last; it only
	// saves requests and is lost with the process. One worker writes it.
	applied map[string]appliedState
}

type appliedState struct {
	revision overlays.Revision
	at       time.Time
}

// New makes a Syncer that acts with the rights of config.
func New(config *rest.Config, repositories overlays.Repositories, sources []Source) (*Syncer, error) {
	s := &Syncer{
		sources: map[string]Source{}, repositories: repositories, now: time.Now,
		queue: make(chan string, 1024), applied: map[string]appliedState{},
	}
	for _, src := range sources {
		if err := s.add(src); err != nil {
			return nil, err
		}
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("sync: scheme: %w", err)
	}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("sync: client: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, web)
	if err != nil {
		return nil, fmt.Errorf("sync: discover the API: %w", err)
	}
	s.client, err = client.New(config, client.Options{Scheme: scheme, Mapper: mapper, HTTPClient: web})
	if err != nil {
		return nil, fmt.Errorf("sync: client: %w", err)
	}
	poller := polling.NewStatusPoller(s.client, mapper, polling.Options{})
	s.resources = ssa.NewResourceManager(s.client, poller, ssa.Owner{Field: FieldManager, Group: OwnerGroup})
	s.resources.SetConcurrency(4)
	return s, nil
}

// add checks a source and fills in its defaults.
func (s *Syncer) add(src Source) error {
	if bad := validation.IsDNS1123Label(src.Name); len(bad) > 0 {
		return fmt.Errorf("sync source %q: name: %s", src.Name, strings.Join(bad, ", "))
	}
	if _, twice := s.sources[src.Name]; twice {
		return fmt.Errorf("sync source %s: name: used twice, give each source its own", src.Name)
	}
	for _, required := range []struct{ field, value string }{
		{"remote URL", src.Remote.URL}, {"branch", src.Branch}, {"namespace", src.Namespace},
	} {
		if required.value == "" {
			return fmt.Errorf("sync source %s: %s: empty, set it", src.Name, required.field)
		}
	}
	if src.Path == "" {
		src.Path = "."
	}
	if src.Interval <= 0 {
		src.Interval = DefaultInterval
	}
	if src.Poll <= 0 {
		src.Poll = DefaultPoll
	}
	src.Poll = min(src.Poll, src.Interval)
	s.sources[src.Name] = src
	s.names = append(s.names, src.Name)
	return nil
}

// SetupWithManager runs the Syncer as a controller of mgr, on the leader only.
func (s *Syncer) SetupWithManager(mgr manager.Manager) error {
	c, err := controller.NewTyped("sync", mgr, controller.TypedOptions[string]{
		Reconciler:              s,
		MaxConcurrentReconciles: 1,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[string](
			time.Second, time.Minute),
	})
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return c.Watch(source.TypedFunc[string](s.feed))
}

// feed puts every source into the work queue once, and then those that Wake
// names.
func (s *Syncer) feed(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) error {
	for _, name := range s.names {
		queue.Add(name)
	}
	go func() {
		for {
			select {
			case name := <-s.queue:
				queue.Add(name)
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// Wake syncs at once what comes from the branch of the repository. Repositories
// are compared by path, because one may be reached under several hosts; a wake
// too many costs one look at Git, and one lost is made good by polling. It
// never blocks.
func (s *Syncer) Wake(remote, branch string) {
	for _, name := range s.names {
		src := s.sources[name]
		if src.Branch != branch || repositoryPath(src.Remote.URL) != repositoryPath(remote) {
			continue
		}
		select {
		case s.queue <- name:
		default:
		}
	}
}

// repositoryPath is the path of a repository's address without ".git", for
// https://host/a/b.git as for git@host:a/b.
func repositoryPath(remote string) string {
	path := remote
	if parsed, err := url.Parse(remote); err == nil && parsed.Host != "" {
		path = parsed.Path
	} else if _, after, found := strings.Cut(remote, ":"); found {
		path = after
	}
	return strings.TrimSuffix(strings.Trim(path, "/"), ".git")
}

// errUnknownSource cannot happen but for a mistake in this package.
var errUnknownSource = errors.New("no such sync source")
