package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/embedded/gitserver"
	"github.com/serin-gitops/serin/embedded/pace"
	"github.com/serin-gitops/serin/embedded/registry"
	"github.com/serin-gitops/serin/embedded/sync"
	"github.com/serin-gitops/serin/overlays"
)

// embeddedConfig is the file that --embedded names: what a small installation
// runs inside Serin. Whoever may write it decides what is applied to the
// cluster, so it is a file of the administrator's and not an object.
type embeddedConfig struct {
	Git      *embeddedGit      `json:"git,omitempty"`
	Registry *embeddedRegistry `json:"registry,omitempty"`
	Sync     []embeddedSync    `json:"sync,omitempty"`
}

type embeddedGit struct {
	// Address to listen at and Directory to keep repositories in.
	Address   string `json:"address"`
	Directory string `json:"directory"`
	// URL is the server's address for others, in webhooks.
	URL string `json:"url"`
	// Users names a YAML file: a list of {name, password, readOnly,
	// pushProtected}. Who may push decides what the cluster runs.
	Users string `json:"users"`
	// Repositories are created empty where they are missing.
	Repositories []string `json:"repositories,omitempty"`
	// MaxRepositoryBytes bounds each repository; 1 GiB where it is not given.
	MaxRepositoryBytes int64 `json:"maxRepositoryBytes,omitempty"`
	// KeepUnreachable is how long an object is kept that no branch or tag reaches;
	// 14 days where it is not given.
	KeepUnreachable metav1.Duration `json:"keepUnreachable,omitzero"`
	// Protected are patterns of branches that only users with pushProtected
	// may move.
	Protected []string `json:"protected,omitempty"`
}

type embeddedRegistry struct {
	// Address to listen at and Directory to keep images in.
	Address   string `json:"address"`
	Directory string `json:"directory"`
	// Users names a YAML file such as that of git: who may push. Everybody who
	// reaches the registry may pull, as nodes do.
	Users string `json:"users"`
	// MaxBytes bounds all blobs and manifests together; 4 GiB where it is not given.
	MaxBytes int64 `json:"maxBytes,omitempty"`
	// KeepUntagged is how long an image is kept that lost its last tag; 30 days
	// where it is not given.
	KeepUntagged metav1.Duration `json:"keepUntagged,omitzero"`
	// Names that nodes and Pipelines call the registry by, such as
	// registry.local:5000.
	Names []string `json:"names"`
}

type embeddedSync struct {
	// Name of the sync; its inventory is the ConfigMap serin-sync-<name>.
	Name string `json:"name"`
	// Repository of the embedded Git server, Branch and Path in it.
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
	Path       string `json:"path"`
	// Interval between two corrections of drift.
	Interval metav1.Duration `json:"interval,omitzero"`
}

// embeddedUser is one of a file of users.
type embeddedUser struct {
	Name          string `json:"name"`
	Password      string `json:"password"`
	ReadOnly      bool   `json:"readOnly,omitempty"`
	PushProtected bool   `json:"pushProtected,omitempty"`
}

func readEmbedded(path string) (*embeddedConfig, error) {
	var config embeddedConfig
	if err := readYAML(path, &config); err != nil {
		return nil, err
	}
	if len(config.Sync) > 0 && config.Git == nil {
		return nil, fmt.Errorf("%s: sync needs git, the server it applies from", path)
	}
	return &config, nil
}

func readYAML(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// embed adds the servers of the configuration to the manager, and returns what
// is to be told of a push: the syncer, or nil.
func embed(mgr manager.Manager, config *embeddedConfig, repositories overlays.Repositories, namespace string, h *hub) error {
	if config.Registry != nil {
		if err := embedRegistry(mgr, config.Registry, h); err != nil {
			return err
		}
	}
	if config.Git == nil {
		return nil
	}
	users, err := readUsers("git", config.Git.Users)
	if err != nil {
		return err
	}
	if len(config.Sync) > 0 {
		if err := embedSync(mgr, config, users[0], repositories, namespace, h); err != nil {
			return err
		}
	}
	entering := make([]gitserver.User, 0, len(users))
	for _, u := range users {
		entering = append(entering, gitserver.User(u))
	}
	server, err := gitserver.New(gitserver.Options{
		Dir: config.Git.Directory, BaseURL: config.Git.URL, Users: entering, Protected: config.Git.Protected, NoCreateOnPush: true,
		MaxRepositoryBytes: config.Git.MaxRepositoryBytes, KeepUnreachable: config.Git.KeepUnreachable.Duration,
		OnPush: func(push gitserver.Push) {
			// A tag is of no interest.
			if branch := push.Branch(); branch != "" {
				h.gitPush(push.URL, branch)
			}
		},
	})
	if err != nil {
		return err
	}
	for _, name := range config.Git.Repositories {
		if err := server.Create(name); err != nil {
			return err
		}
	}
	if err := errors.Join(metrics.Registry.Register(gitUsage{server}), mgr.Add(collectGit(server))); err != nil {
		return err
	}
	return mgr.Add(&httpServer{name: "git", address: config.Git.Address, handler: pace.Handler(server, pace.Limits{}), close: server.Close})
}

// readUsers reads the users of a server; without any, everybody who reaches it
// could write.
func readUsers(server, path string) ([]embeddedUser, error) {
	if path == "" {
		return nil, fmt.Errorf("%s.users is missing: name the file that lists who may push, such as /etc/serin/users.yaml", server)
	}
	var listed []embeddedUser
	if err := readYAML(path, &listed); err != nil {
		return nil, err
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%s: there is no user; list at least one {name, password}", path)
	}
	for _, u := range listed {
		if u.Name == "" || u.Password == "" {
			return nil, fmt.Errorf("%s: user %q: name and password are required", path, u.Name)
		}
	}
	return listed, nil
}

func embedRegistry(mgr manager.Manager, config *embeddedRegistry, h *hub) error {
	listed, err := readUsers("registry", config.Users)
	if err != nil {
		return err
	}
	users := make([]registry.User, 0, len(listed))
	for _, u := range listed {
		users = append(users, registry.User{Name: u.Name, Password: u.Password, ReadOnly: u.ReadOnly})
	}
	server, err := registry.Open(registry.Options{
		Dir: config.Directory, Users: users, AnonymousRead: true, MaxBytes: config.MaxBytes, KeepUntagged: config.KeepUntagged.Duration,
		OnPush: func(repository, _, _ string) {
			for _, name := range config.Names {
				h.imagePush(name + "/" + repository)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := errors.Join(measureRegistry(server), mgr.Add(collectRegistry(server))); err != nil {
		return err
	}
	return mgr.Add(&httpServer{name: "registry", address: config.Address, handler: pace.Handler(server, pace.Limits{})})
}

// embedSync adds the sync, which fetches as the given user.
func embedSync(mgr manager.Manager, config *embeddedConfig, as embeddedUser, repositories overlays.Repositories, namespace string, h *hub) error {
	_, port, err := net.SplitHostPort(config.Git.Address)
	if err != nil {
		return fmt.Errorf("git.address %q: %w", config.Git.Address, err)
	}
	var sources []sync.Source
	for _, s := range config.Sync {
		remote := overlays.Remote{
			URL:      "http://" + net.JoinHostPort("127.0.0.1", port) + "/" + s.Repository + ".git",
			Username: as.Name, Password: as.Password,
		}
		sources = append(sources, sync.Source{
			Name: s.Name, Remote: remote, Branch: s.Branch, Path: s.Path, Namespace: namespace, Interval: s.Interval.Duration,
		})
	}
	syncer, err := sync.New(mgr.GetConfig(), repositories, sources)
	if err != nil {
		return err
	}
	h.sync = syncer.Wake
	return syncer.SetupWithManager(mgr)
}

const (
	// maxConnections bounds what one server has open at once, and so the memory
	// that strangers can take; more wait to be accepted.
	maxConnections = 512
	// maxHeader bounds a request's header, in bytes.
	maxHeader = 64 << 10
)

// httpServer is a server that the manager runs, on every replica.
type httpServer struct {
	name, address string
	handler       http.Handler
	// tls is nil for plain HTTP.
	tls   *tls.Config
	close func(context.Context) error
}

// NeedLeaderElection says no: a Service sends requests to every replica.
func (s *httpServer) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (s *httpServer) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("%s server: %w", s.name, err)
	}
	listener = netutil.LimitListener(listener, maxConnections)
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	// How long a body may take is up to the handler: see the package pace.
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("%s server: %w", s.name, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(stop)
	if s.close != nil {
		err = errors.Join(err, s.close(stop))
	}
	return err
}

// secretsIn reads a secret per line of a file; no file is none.
func secretsIn(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text)), nil
}
