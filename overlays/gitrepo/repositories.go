package gitrepo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/store"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/wire"
)

// Limits bound one store on disk. Above any of them the store is created anew.
type Limits = store.Limits

// Options of New.
type Options struct {
	// Timeout of one exchange with a server; 2 minutes when zero.
	Timeout time.Duration
	Limits  Limits
	// Now is the clock that ages are measured with; time.Now when nil.
	Now func() time.Time
	// Requested is told of each exchange with a server: "list", "fetch" or
	// "push"; nil for nobody. It must not block.
	Requested func(operation string)
}

// Repositories is overlays.Repositories with its stores in one directory.
type Repositories struct {
	dir     string
	options Options

	mu   sync.Mutex
	open map[string]*repository
}

var _ overlays.Repositories = (*Repositories)(nil)

// idle is how long a repository that nobody opens is kept: a Pipeline that is
// gone, or whose credentials were renewed, opens its old one never again.
const idle = 24 * time.Hour

// New keeps stores below dir, which need not exist. Several processes may share
// it: each takes stores of its own.
func New(dir string, options Options) *Repositories {
	options.Timeout = cmp.Or(options.Timeout, 2*time.Minute)
	options.Limits = options.Limits.OrDefaults()
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Repositories{dir: dir, options: options, open: map[string]*repository{}}
}

// Open gives the repository of a remote and its credentials, the same one as long
// as it is opened now and then; nothing is sent. Stores that nobody has used for
// longer than the limit of age, or opened here for a day, are removed on the way.
func (r *Repositories) Open(_ context.Context, remote overlays.Remote) (overlays.Repository, error) {
	key := keyOf(remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.Now()
	known, isOpen := r.open[key]
	if isOpen {
		known.opened = now
	}
	if err := r.discard(now); err != nil {
		return nil, err
	}
	if isOpen {
		return known, nil
	}
	dialled, err := wire.Dial(remote, r.options.Timeout)
	if err != nil {
		return nil, err
	}
	dialled.Began = r.options.Requested
	if err := store.Prune(r.dir, r.options.Limits.Age, now); err != nil {
		return nil, err
	}
	s, err := store.Open(r.dir, key, r.options.Limits)
	if err != nil {
		return nil, err
	}
	repo := &repository{remote: dialled, store: s, now: r.options.Now, opened: now, queues: map[string]*queue{}}
	r.open[key] = repo
	return repo, nil
}

// discard removes the stores of repositories that nobody opens any more.
func (r *Repositories) discard(now time.Time) error {
	var errs []error
	for key, repo := range r.open {
		if now.Sub(repo.opened) > idle {
			errs = append(errs, repo.store.Discard())
			delete(r.open, key)
		}
	}
	return errors.Join(errs...)
}

// Close gives the stores back to other processes. No repository may be in use.
func (r *Repositories) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for key, repo := range r.open {
		errs = append(errs, repo.store.Close())
		delete(r.open, key)
	}
	return errors.Join(errs...)
}

// keyOf tells remotes and credentials apart without naming them on disk.
func keyOf(remote overlays.Remote) string {
	hash := sha256.New()
	for _, part := range [][]byte{
		[]byte(remote.URL), []byte(remote.Username), []byte(remote.Password), []byte(remote.Bearer),
		remote.PrivateKey, remote.KnownHosts, remote.CA,
	} {
		// A hash's Write never fails.
		_, _ = fmt.Fprintf(hash, "%d:", len(part))
		_, _ = hash.Write(part)
	}
	return hex.EncodeToString(hash.Sum(nil))[:32]
}
