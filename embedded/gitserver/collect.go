package gitserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/serin-gitops/serin/embedded/gitserver/internal/graph"
)

const (
	// DefaultKeepUnreachable is how long an object is kept that no reference
	// reaches, as git's own gc.pruneExpire has it: somebody may want it back.
	DefaultKeepUnreachable = 14 * 24 * time.Hour
	// maxExclusive bounds how long fetches and pushes of a repository wait while
	// its garbage is removed; what is left then goes the next time.
	maxExclusive = 5 * time.Second
)

// Collection says what Collect removed.
type Collection struct {
	// Objects that were files of their own, and Packs, the rewritten ones
	// included.
	Objects, Packs int
	// Bytes that the repositories take less on disk.
	Bytes int64
}

// ErrBusy says that a repository is being fetched from or pushed to: collect
// again later.
var ErrBusy = errors.New("git server: a fetch or push is under way")

// Collect removes, from every repository, the objects that no branch or tag
// reaches and that are older than Options.KeepUnreachable, as `git gc` does. What
// is reachable is found while fetches and pushes go on; they wait for the removal
// alone, which looks again at the references first, and takes seconds at most. A
// repository in use then is left as it is, with ErrBusy. Other errors, those of
// ctx among them, leave every reachable object in place.
func (s *Server) Collect(ctx context.Context, now time.Time) (Collection, error) {
	var all Collection
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Usage())) {
		done, err := s.collect(ctx, name, now)
		all.Objects, all.Packs, all.Bytes = all.Objects+done.Objects, all.Packs+done.Packs, all.Bytes+done.Bytes
		if err != nil {
			errs = append(errs, fmt.Errorf("collect repository %s: %w", name, err))
		}
	}
	return all, errors.Join(errs...)
}

// use keeps a repository's objects in place until the function returned is
// called.
func (s *Server) use(name string) func() {
	users := s.users(name)
	users.RLock()
	return users.RUnlock
}

// users is held shared by fetches and pushes of a repository, and alone by what
// removes objects.
func (s *Server) users(name string) *sync.RWMutex { return ofRepository(s, s.inUse, name) }

// collect removes the garbage of one repository.
func (s *Server) collect(ctx context.Context, name string, now time.Time) (done Collection, err error) {
	dir := s.path(name)
	g := &garbage{dir: dir, before: now.Add(-s.options.KeepUnreachable)}
	if err := g.mark(ctx); err != nil {
		return done, err
	}
	if err := g.find(ctx); err != nil || g.none() {
		return done, err
	}
	was, err := diskUsage(dir)
	if err != nil {
		return done, err
	}
	users := s.users(name)
	if !users.TryLock() {
		return done, ErrBusy
	}
	defer users.Unlock()
	limited, cancel := context.WithTimeout(ctx, maxExclusive)
	defer cancel()
	if err := g.mark(limited); err != nil {
		return done, err
	}
	done, err = g.sweep(limited)
	is, measured := diskUsage(dir)
	if measured != nil {
		return done, errors.Join(err, measured)
	}
	done.Bytes = was - is
	s.mutex.Lock()
	s.sizes[name] = size{bytes: is, at: now}
	s.mutex.Unlock()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		// The rest goes the next time.
		err = nil
	}
	return done, err
}

// garbage of one repository.
type garbage struct {
	dir string
	// before is the time that what is removed is older than.
	before time.Time
	// live is what the references reach, and tips where they were then.
	live graph.Set
	tips map[plumbing.ReferenceName]plumbing.Hash
	// loose and packs may be removed, if they are not live by then.
	loose []plumbing.Hash
	packs []packed
}

func (g *garbage) none() bool { return len(g.loose)+len(g.packs) == 0 }

// mark adds what the references reach now. The second time it walks no further
// than to what was marked the first time.
func (g *garbage) mark(ctx context.Context) error {
	store := openStore(g.dir)
	now, err := references(store)
	if err != nil {
		return err
	}
	known := graph.SetOf(slices.Collect(maps.Values(g.tips)))
	choice := graph.Selection{}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if hash := now[name]; !known.Has(hash) {
			choice.Wants = append(choice.Wants, hash)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.tips)) {
		if commit, err := graph.Peel(store, g.tips[name]); err == nil {
			choice.Haves = append(choice.Haves, commit)
		}
	}
	reached, err := choice.Objects(ctx, store)
	if err != nil {
		return err
	}
	if g.live == nil {
		g.live = make(graph.Set, len(reached))
	}
	g.live.Add(reached)
	g.tips = now
	return nil
}

// find looks for what may be removed. A pack in which something is live is
// written anew first, where that makes it smaller.
func (g *garbage) find(ctx context.Context) error {
	store := openStore(g.dir)
	err := store.ForEachObjectHash(func(hash plumbing.Hash) error {
		if err := ctx.Err(); err != nil || g.live.Has(hash) {
			return err
		}
		at, err := store.LooseObjectTime(hash)
		if err == nil && at.Before(g.before) {
			g.loose = append(g.loose, hash)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("loose objects: %w", err)
	}
	return g.findPacks(ctx, store)
}

// sweep removes what was found and is not live now. It is called while nobody
// else uses the repository.
func (g *garbage) sweep(ctx context.Context) (done Collection, err error) {
	store := openStore(g.dir)
	for _, hash := range g.loose {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if g.live.Has(hash) {
			continue
		}
		if err := store.DeleteLooseObject(hash); err != nil && !errors.Is(err, os.ErrNotExist) {
			return done, fmt.Errorf("loose object %s: %w", hash, err)
		}
		done.Objects++
	}
	for _, pack := range g.packs {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		removed, err := g.removePack(ctx, store, pack)
		if err != nil {
			return done, err
		}
		if removed {
			done.Packs++
		}
	}
	return done, nil
}
