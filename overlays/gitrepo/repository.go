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
)

// repository is overlays.Repository for one remote.
type repository struct {
	remote  *remote
	store   *store
	flights singleflight.Group
	// now is the clock that a store's age is measured with.
	now func() time.Time

	mu     sync.Mutex
	queues map[string]*queue
	// caps are the server's capabilities as last advertised.
	caps advertisement
	// noHashes: the server was seen to refuse objects by their hash.
	noHashes bool
}

var _ overlays.Repository = (*repository)(nil)

// refs asks the server and remembers what it can.
func (r *repository) refs(ctx context.Context) (advertisement, error) {
	a, err := r.remote.refs(ctx)
	if err != nil {
		return advertisement{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps = a
	return a, nil
}

// blobless says whether contents can be left out and asked for later.
func (r *repository) blobless(a advertisement) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.noHashes && a.can(capability.Filter) &&
		(a.can(capability.AllowReachableSHA1InWant) || a.can(capability.AllowTipSHA1InWant))
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
	if !errors.Is(err, errDamaged) {
		return err
	}
	if err := r.store.reset(); err != nil {
		return err
	}
	return do()
}

// newest is the tip of a branch, fetched if it is new, and what the server said.
func (r *repository) newest(ctx context.Context, branch string) (plumbing.Hash, advertisement, error) {
	a, err := r.refs(ctx)
	if err != nil {
		return plumbing.ZeroHash, a, err
	}
	hash, ok := a.branches[branch]
	if !ok {
		return plumbing.ZeroHash, a, fmt.Errorf("%s: branch %s: %w", r.remote.name, branch, overlays.ErrNoBranch)
	}
	return hash, a, r.ensure(ctx, a, branch, hash)
}

// ensure fetches a commit with all its trees, once for all who ask.
func (r *repository) ensure(ctx context.Context, a advertisement, branch string, hash plumbing.Hash) error {
	if r.store.has(hash) {
		return nil
	}
	_, err, _ := r.flights.Do(hash.String(), func() (any, error) {
		if r.store.has(hash) {
			return nil, nil
		}
		if err := r.store.tidy(r.now()); err != nil {
			return nil, err
		}
		w := want{hashes: []plumbing.Hash{hash}, haves: r.store.known(), shallow: a.can(capability.Shallow), blobless: r.blobless(a)}
		if !w.blobless {
			// What the haves' commits have is known for their trees only.
			w.haves = nil
		}
		// Others may wait for this fetch, so it does not end with the one who began it.
		if err := r.remote.fetch(context.WithoutCancel(ctx), a, w, r.store.addPack); err != nil {
			return nil, err
		}
		return nil, r.store.keep(branch, hash)
	})
	return err
}

// fetchObjects asks for objects by their hashes; a server that gives none is
// asked for the whole tip.
func (r *repository) fetchObjects(ctx context.Context, tip plumbing.Hash, kind plumbing.ObjectType, hashes []plumbing.Hash) error {
	r.mu.Lock()
	a := r.caps
	r.mu.Unlock()
	if r.blobless(a) {
		w := want{hashes: hashes, blobless: kind == plumbing.TreeObject}
		err := r.remote.fetch(ctx, a, w, r.store.addPack)
		if err == nil || ctx.Err() != nil || errors.Is(err, overlays.ErrUnauthorized) {
			return err
		}
		if strings.Contains(err.Error(), "not our ref") {
			r.mu.Lock()
			r.noHashes = true
			r.mu.Unlock()
		}
	}
	_, err, _ := r.flights.Do("whole "+tip.String(), func() (any, error) {
		w := want{hashes: []plumbing.Hash{tip}, shallow: a.can(capability.Shallow)}
		return nil, r.remote.fetch(context.WithoutCancel(ctx), a, w, r.store.addPack)
	})
	return err
}

// tipOf describes a commit that is in the store.
func (r *repository) tipOf(ctx context.Context, hash plumbing.Hash) (overlays.Tip, error) {
	objects := r.objectsOf(hash)
	commit, err := objects.commit(hash)
	if err != nil {
		return overlays.Tip{}, err
	}
	if _, err := objects.tree(ctx, commit.TreeHash); err != nil {
		return overlays.Tip{}, err
	}
	return overlays.Tip{
		Revision: overlays.Revision(hash.String()),
		Parents:  revisions(commit.ParentHashes),
		Files:    &files{ctx: context.WithoutCancel(ctx), objects: objects, root: commit.TreeHash},
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
	for branch, hash := range a.branches {
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
	return r.remote.push(ctx, branch, old, plumbing.ZeroHash, nil)
}
