// Package gitserver is a small Git server over smart HTTP that keeps bare
// repositories in a directory and needs no git binary. It serves what Serin and
// the git command line ask of it: clones and fetches (shallow, partial and by
// object id) and pushes with compare-and-swap of each branch, and it tells
// subscribers of every push. It speaks protocol version 0 as described in
// git's gitprotocol-http(5), gitprotocol-pack(5) and
// gitprotocol-capabilities(5); clients that ask for version 2 fall back to it.
//
// One process owns a directory: locks are kept in memory.
package gitserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/serin-gitops/serin/embedded/gitserver/internal/hook"
	"github.com/serin-gitops/serin/embedded/internal/login"
)

// Defaults of Options.
const (
	// DefaultMaxPushBytes bounds one push, in bytes.
	DefaultMaxPushBytes = 64 << 20
	// DefaultMaxRepositoryBytes bounds one repository, in bytes.
	DefaultMaxRepositoryBytes = 1 << 30
	// DefaultProposalPrefix begins the branches that may be rewritten.
	DefaultProposalPrefix = "serin/"
	// DefaultBranch is what HEAD of a new repository names.
	DefaultBranch = "main"
	// DefaultMaxConcurrent bounds the fetches and pushes served at once.
	DefaultMaxConcurrent = 8
)

// User may enter the server by HTTP basic authentication.
type User struct {
	Name, Password string
	// ReadOnly users may fetch only.
	ReadOnly bool
	// PushProtected users may push to protected branches.
	PushProtected bool
}

// Push says that one reference of a repository has moved.
type Push = hook.Push

// Webhook is told of every push by an HTTP POST in the form of Gitea's push
// event.
type Webhook = hook.Webhook

// Options of a Server. Dir is required; the zero value of every other field is
// usable.
type Options struct {
	// Dir holds the repositories, DIR/NAME.git each.
	Dir string
	// BaseURL is the server's address as others see it, for clone_url in
	// webhooks.
	BaseURL string
	// Users may enter; with none, everybody may do everything.
	Users []User
	// AnonymousRead lets everybody fetch.
	AnonymousRead bool
	// NoCreateOnPush refuses pushes to repositories that are not there.
	NoCreateOnPush bool
	// MaxPushBytes bounds one push; zero means DefaultMaxPushBytes.
	MaxPushBytes int64
	// MaxRepositoryBytes bounds what a repository takes on disk: a push into one
	// that is larger is refused. Zero means DefaultMaxRepositoryBytes.
	MaxRepositoryBytes int64
	// KeepUnreachable is how long Collect keeps an object that no branch or tag
	// reaches; zero means DefaultKeepUnreachable.
	KeepUnreachable time.Duration
	// RewritePrefixes begin the branches whose history may be rewritten; nil
	// means DefaultProposalPrefix alone.
	RewritePrefixes []string
	// Protected are patterns (path.Match) of branches that only users with
	// PushProtected may move.
	Protected []string
	// DefaultBranch is what HEAD names at first; empty means "main". A first
	// push of another branch makes that one HEAD.
	DefaultBranch string
	// MaxConcurrent bounds fetches and pushes at once; zero means
	// DefaultMaxConcurrent. More wait for their turn.
	MaxConcurrent int
	// OnPush is called after each reference has moved, before the client is
	// answered; it must not block.
	OnPush func(Push)
	// Webhooks are told of each push.
	Webhooks []Webhook
	// Log is where failures go; nil means slog.Default().
	Log *slog.Logger
}

// Server is an http.Handler; New makes one, Close ends it.
type Server struct {
	options Options
	hooks   *hook.Dispatcher
	slots   chan struct{}

	mutex     sync.Mutex
	locks     map[string]*sync.Mutex
	protected []string
	sizes     map[string]size
	inUse     map[string]*sync.RWMutex
}

// ErrName says that what a repository was called by is not a name.
var ErrName = errors.New("not a repository name")

// namePattern is one to four path elements that begin with a letter or digit,
// so that no name leaves the directory or is hidden in it.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}$`)

// New makes a server over options.Dir, which is created where missing.
func New(options Options) (*Server, error) {
	if options.Dir == "" {
		return nil, errors.New("git server: no directory: set Options.Dir")
	}
	if err := os.MkdirAll(options.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("git server: directory %s: %w", options.Dir, err)
	}
	if err := sweep(options.Dir); err != nil {
		return nil, fmt.Errorf("git server: clean up directory %s: %w", options.Dir, err)
	}
	if options.MaxPushBytes <= 0 {
		options.MaxPushBytes = DefaultMaxPushBytes
	}
	if options.MaxRepositoryBytes <= 0 {
		options.MaxRepositoryBytes = DefaultMaxRepositoryBytes
	}
	if options.KeepUnreachable <= 0 {
		options.KeepUnreachable = DefaultKeepUnreachable
	}
	if options.RewritePrefixes == nil {
		options.RewritePrefixes = []string{DefaultProposalPrefix}
	}
	if options.DefaultBranch == "" {
		options.DefaultBranch = DefaultBranch
	}
	if options.MaxConcurrent <= 0 {
		options.MaxConcurrent = DefaultMaxConcurrent
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	s := &Server{
		options: options,
		hooks:   hook.NewDispatcher(options.Webhooks, options.Log),
		slots:   make(chan struct{}, options.MaxConcurrent),
		locks:   map[string]*sync.Mutex{},

		protected: slices.Clone(options.Protected),
		sizes:     map[string]size{},
		inUse:     map[string]*sync.RWMutex{},
	}
	if err := s.measureAll(time.Now()); err != nil {
		return nil, fmt.Errorf("git server: measure directory %s: %w", options.Dir, err)
	}
	return s, nil
}

// Protect replaces the patterns of protected branches (see Options.Protected)
// in every repository, from the next push on.
func (s *Server) Protect(patterns ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.protected = slices.Clone(patterns)
}

// protectedPatterns are those that hold now.
func (s *Server) protectedPatterns() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.protected
}

// Close stops the delivery of webhooks; what is being delivered is given until
// ctx ends.
func (s *Server) Close(ctx context.Context) error { return s.hooks.Close(ctx) }

// Create makes an empty repository; one that is there already is no error.
func (s *Server) Create(name string) error {
	if !validName(name) {
		return fmt.Errorf("repository %q: %w: write letters, digits, '.', '_' and '-', at most four parts", name, ErrName)
	}
	lock := s.lock(name)
	lock.Lock()
	defer lock.Unlock()
	return initRepository(s.path(name), plumbing.NewBranchReferenceName(s.options.DefaultBranch))
}

func validName(name string) bool {
	return namePattern.MatchString(name) && !strings.Contains(name, "..") &&
		!strings.Contains(name+"/", ".git/") && !strings.Contains(name+"/", ".lock/")
}

// path is the repository's directory.
func (s *Server) path(name string) string {
	return filepath.Join(s.options.Dir, filepath.FromSlash(name)+".git")
}

// cloneURL is the repository's address.
func (s *Server) cloneURL(name string) string {
	return strings.TrimSuffix(s.options.BaseURL, "/") + "/" + name + ".git"
}

// lock serialises what moves references of one repository.
func (s *Server) lock(name string) *sync.Mutex { return ofRepository(s, s.locks, name) }

// ofRepository is a repository's own entry, made where there is none yet.
func ofRepository[T any](s *Server, entries map[string]*T, name string) *T {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	entry, found := entries[name]
	if !found {
		entry = new(T)
		entries[name] = entry
	}
	return entry
}

// authenticate returns who asks; the zero User is anybody.
func (s *Server) authenticate(r *http.Request) (user User, known bool) {
	if len(s.options.Users) == 0 {
		return User{PushProtected: true}, true
	}
	return login.Find(r, s.options.Users, func(u User) (string, string) { return u.Name, u.Password })
}
