package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"golang.org/x/sync/singleflight"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/store"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/trees"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/wire"
)

// repository is overlays.Repository for one remote.
type repository struct {
	remote  *wire.Remote
	store   *store.Store
	flights singleflight.Group
	// now is the clock that a store's age is measured with.
	now func() time.Time
	// opened is when it was asked for last; Repositories guards it.
	opened time.Time

	mu     sync.Mutex
	queues map[string]*queue
	// caps are the server's capabilities as last advertised.
	caps wire.Advertisement
	// noHashes: the server was seen to refuse objects by their hash.
	noHashes bool
}

var _ overlays.Repository = (*repository)(nil)

// refs asks the server and remembers what it can.
func (r *repository) refs(ctx context.Context) (wire.Advertisement, error) {
	a, err := r.remote.Refs(ctx)
	if err != nil {
		return wire.Advertisement{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps = a
	return a, nil
}

// known is what the server said last that it can, or says now.
func (r *repository) known(ctx context.Context) (wire.Advertisement, error) {
	r.mu.Lock()
	a := r.caps
	r.mu.Unlock()
	if a.Branches != nil {
		return a, nil
	}
	return r.refs(ctx)
}

// objectsOf reads a tip.
func (r *repository) objectsOf(tip plumbing.Hash) *trees.Objects {
	return trees.New(trees.Source{Store: r.store, Fetch: r.fetchObjects}, tip)
}

// blobless says whether contents can be left out and asked for later.
func (r *repository) blobless(a wire.Advertisement) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.noHashes && a.Can(capability.Filter) &&
		(a.Can(capability.AllowReachableSHA1InWant) || a.Can(capability.AllowTipSHA1InWant))
}

// shallow is the depth to ask for: all, where the server knows no other.
func shallow(a wire.Advertisement, depth int) int {
	if !a.Can(capability.Shallow) {
		return 0
	}
	return depth
}

// Tip reads a branch.
func (r *repository) Tip(ctx context.Context, branch string) (overlays.Tip, error) {
	if err := validBranch(branch); err != nil {
		return overlays.Tip{}, err
	}
	var tip overlays.Tip
	err := r.mending(func() error {
		hash, _, err := r.newest(ctx, branch)
		if err != nil {
			return err
		}
		tip, err = r.tipOf(ctx, hash)
		return err
	})
	return tip, err
}

// mending does something again on a new store when the store is damaged.
func (r *repository) mending(do func() error) error {
	err := do()
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	if err := r.store.Reset(); err != nil {
		return err
	}
	return do()
}

// newest is the tip of a branch, fetched if it is new, and what the server said.
func (r *repository) newest(ctx context.Context, branch string) (plumbing.Hash, wire.Advertisement, error) {
	a, err := r.refs(ctx)
	if err != nil {
		return plumbing.ZeroHash, a, err
	}
	hash, ok := a.Branches[branch]
	if !ok {
		return plumbing.ZeroHash, a, r.noBranch(branch)
	}
	return hash, a, r.ensure(ctx, a, branch, hash)
}

// pushing begins a push, with the newest tip of a branch at hand, fetched if it is
// new. The caller closes what it is given.
func (r *repository) pushing(ctx context.Context, branch string) (*wire.Pushing, plumbing.Hash, error) {
	p, err := r.remote.BeginPush(ctx)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	tip, ok := p.Branches[branch]
	if ok {
		err = r.reach(ctx, branch, tip)
	} else {
		err = r.noBranch(branch)
	}
	if err != nil {
		p.Close()
		return nil, plumbing.ZeroHash, err
	}
	return p, tip, nil
}

// reach fetches where a branch was said to be, unless it is at hand. How to fetch,
// a server says only to those who ask for that: where it says another tip by then,
// the error is overlays.ErrMoved.
func (r *repository) reach(ctx context.Context, branch string, tip plumbing.Hash) error {
	if r.store.Has(tip) {
		return nil
	}
	now, _, err := r.newest(ctx, branch)
	if errors.Is(err, overlays.ErrNoBranch) || err == nil && now != tip {
		return r.remote.Moved(branch, "another commit came first")
	}
	return err
}

func (r *repository) noBranch(branch string) error {
	return fmt.Errorf("%s: branch %s: %w", r.remote.Name, branch, overlays.ErrNoBranch)
}

// ensure fetches a commit with all its trees, once for all who ask.
func (r *repository) ensure(ctx context.Context, a wire.Advertisement, branch string, hash plumbing.Hash) error {
	if r.store.Has(hash) {
		return nil
	}
	return r.together(ctx, hash.String(), func() (any, error) {
		if r.store.Has(hash) {
			return nil, nil
		}
		if err := r.store.Tidy(r.now()); err != nil {
			return nil, err
		}
		w := wire.Want{Hashes: []plumbing.Hash{hash}, Depth: shallow(a, 1), Blobless: r.blobless(a)}
		if w.Blobless {
			// Of the complete commits the trees are at hand, and no contents. They are
			// without parents here.
			w.Haves = r.store.Known()
			w.Shallows = w.Haves
		}
		// Others may wait for this fetch, so it does not end with the one who began it.
		if err := r.remote.Fetch(context.WithoutCancel(ctx), a, w, r.store.AddPack); err != nil {
			return nil, err
		}
		return nil, r.store.Keep(branch, hash)
	})
}

// together does something once for all who ask; each waits as long as its own
// context lets it.
func (r *repository) together(ctx context.Context, key string, do func() (any, error)) error {
	select {
	case done := <-r.flights.DoChan(key, do):
		return done.Err
	case <-ctx.Done():
		return fmt.Errorf("fetch from %s: %w", r.remote.Name, ctx.Err())
	}
}

// fetchObjects asks for objects by their hashes; a server that gives none is
// asked for the whole tip.
func (r *repository) fetchObjects(ctx context.Context, tip plumbing.Hash, kind plumbing.ObjectType, hashes []plumbing.Hash) error {
	a, err := r.known(ctx)
	if err != nil {
		return err
	}
	if r.blobless(a) {
		w := wire.Want{Hashes: hashes, Blobless: kind == plumbing.TreeObject}
		err := r.remote.Fetch(ctx, a, w, r.store.AddPack)
		if err == nil || ctx.Err() != nil || errors.Is(err, overlays.ErrUnauthorized) {
			return err
		}
		if strings.Contains(err.Error(), "not our ref") {
			r.mu.Lock()
			r.noHashes = true
			r.mu.Unlock()
		}
	}
	return r.together(ctx, "whole "+tip.String(), func() (any, error) {
		w := wire.Want{Hashes: []plumbing.Hash{tip}, Depth: shallow(a, 1)}
		return nil, r.remote.Fetch(context.WithoutCancel(ctx), a, w, r.store.AddPack)
	})
}

// tipOf describes a commit that is in the store.
func (r *repository) tipOf(ctx context.Context, hash plumbing.Hash) (overlays.Tip, error) {
	objects := r.objectsOf(hash)
	commit, err := objects.Commit(hash)
	if err != nil {
		return overlays.Tip{}, err
	}
	if _, err := objects.Tree(ctx, commit.TreeHash); err != nil {
		return overlays.Tip{}, err
	}
	return overlays.Tip{
		Revision: overlays.Revision(hash.String()),
		Parents:  revisions(commit.ParentHashes),
		Files:    trees.NewFiles(context.WithoutCancel(ctx), objects, commit.TreeHash),
		Author:   overlays.Identity{Name: commit.Author.Name, Email: commit.Author.Email},
		When:     commit.Author.When,
		Message:  commit.Message,
		Trailers: trailersOf(commit.Message),
	}, nil
}

func revisions(hashes []plumbing.Hash) []overlays.Revision {
	var revisions []overlays.Revision
	for _, hash := range hashes {
		revisions = append(revisions, overlays.Revision(hash.String()))
	}
	return revisions
}

// Branches lists the branches that begin with prefix.
func (r *repository) Branches(ctx context.Context, prefix string) (map[string]overlays.Revision, error) {
	a, err := r.refs(ctx)
	if err != nil {
		return nil, err
	}
	branches := map[string]overlays.Revision{}
	for branch, hash := range a.Branches {
		if strings.HasPrefix(branch, prefix) {
			branches[branch] = overlays.Revision(hash.String())
		}
	}
	return branches, nil
}

// DeleteBranch removes a branch that is at expected.
func (r *repository) DeleteBranch(ctx context.Context, branch string, expected overlays.Revision) error {
	if err := validBranch(branch); err != nil {
		return err
	}
	old := plumbing.NewHash(string(expected))
	if old.IsZero() {
		return fmt.Errorf("delete branch %s: the expected revision %q is not a commit hash", branch, expected)
	}
	p, err := r.remote.BeginPush(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Push(ctx, branch, old, plumbing.ZeroHash, nil)
}
