package gitrepo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/serin-gitops/serin/overlays"
)

// Limits bound one store on disk. Above any of them the store is created anew.
type Limits struct {
	// Bytes on disk; 1 GiB when zero.
	Bytes int64
	// Files on disk; 4,000 when zero.
	Files int
	// Age since it was created; 7 days when zero.
	Age time.Duration
	// Blob is the largest object that is read into memory; 32 MiB when zero.
	Blob int64
}

// Options of New.
type Options struct {
	// Timeout of one exchange with a server; 2 minutes when zero.
	Timeout time.Duration
	Limits  Limits
	// Now is the clock that ages are measured with; time.Now when nil.
	Now func() time.Time
}

// Repositories is overlays.Repositories with its stores in one directory.
type Repositories struct {
	dir     string
	options Options

	mu   sync.Mutex
	open map[string]*repository
}

var _ overlays.Repositories = (*Repositories)(nil)

// New keeps stores below dir, which need not exist. Several processes may share
// it: each takes stores of its own.
func New(dir string, options Options) *Repositories {
	options.Timeout = cmp.Or(options.Timeout, 2*time.Minute)
	options.Limits = Limits{
		Bytes: cmp.Or(options.Limits.Bytes, 1<<30),
		Files: cmp.Or(options.Limits.Files, 4000),
		Age:   cmp.Or(options.Limits.Age, 7*24*time.Hour),
		Blob:  cmp.Or(options.Limits.Blob, 32<<20),
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Repositories{dir: dir, options: options, open: map[string]*repository{}}
}

// Open gives the repository of a remote and its credentials, always the same
// one; nothing is sent. Stores that nobody has used for longer than the limit
// of age are removed on the way.
func (r *Repositories) Open(_ context.Context, remote overlays.Remote) (overlays.Repository, error) {
	key := keyOf(remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	if repo, ok := r.open[key]; ok {
		return repo, nil
	}
	dialled, err := dial(remote, r.options.Timeout)
	if err != nil {
		return nil, err
	}
	if err := r.prune(); err != nil {
		return nil, err
	}
	s, err := openStore(r.dir, key, r.options.Limits)
	if err != nil {
		return nil, err
	}
	repo := &repository{remote: dialled, store: s, now: r.options.Now, queues: map[string]*queue{}}
	r.open[key] = repo
	return repo, nil
}

// Close gives the stores back to other processes. No repository may be in use.
func (r *Repositories) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for key, repo := range r.open {
		errs = append(errs, repo.store.close())
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

// prune removes stores whose credentials or remotes are no longer in use.
func (r *Repositories) prune() error {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("git stores: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || r.options.Now().Sub(info.ModTime()) <= r.options.Limits.Age {
			continue
		}
		dir := filepath.Join(r.dir, entry.Name())
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.RemoveAll(dir)
		}
		if err = errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("git stores: %w", err)
		}
	}
	return nil
}
