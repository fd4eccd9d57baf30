package gitrepo

import (
	"container/heap"
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/store"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/trees"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/wire"
)

// History reads what tip reaches and since does not. Commits that were read once
// are in the store, so a tip whose parent is known costs no request.
func (r *repository) History(ctx context.Context, tip, since overlays.Revision, depth int) ([]overlays.Commit, error) {
	from, until := plumbing.NewHash(string(tip)), plumbing.NewHash(string(since))
	if from.IsZero() || depth < 1 {
		return nil, fmt.Errorf("%s: history of %q to depth %d: a commit and a depth above 0 are needed", r.remote.Name, tip, depth)
	}
	var found []overlays.Commit
	err := r.mending(func() error {
		w, err := r.walk(from, until, depth)
		if err != nil || !w.gaps {
			found = w.commits()
			return err
		}
		if err := r.fetchHistory(ctx, from, until, depth); err != nil {
			return err
		}
		// What is missing still is below the depth, or reached by since.
		w, err = r.walk(from, until, depth)
		found = w.commits()
		if err == nil && len(found) == 0 && from != until {
			return fmt.Errorf("%s: the server does not give commit %s", r.remote.Name, from)
		}
		return err
	})
	return found, err
}

// fetchHistory asks for commits alone; a server that cannot leave the rest out
// is asked for what changed in them.
func (r *repository) fetchHistory(ctx context.Context, from, until plumbing.Hash, depth int) error {
	return r.together(ctx, fmt.Sprintf("history %s %s %d", from, until, depth), func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		a, err := r.refs(ctx)
		if err != nil {
			return nil, err
		}
		w := wire.Want{Hashes: []plumbing.Hash{from}, Depth: shallow(a, depth), Treeless: a.Can(capability.Filter)}
		if !until.IsZero() {
			// Not said to be without parents, so that none of them are sent again.
			w.Haves = append(w.Haves, until)
		}
		if w.Treeless {
			err := r.remote.Fetch(ctx, a, w, r.store.AddPack)
			if err == nil || errors.Is(err, overlays.ErrUnauthorized) {
				return nil, err
			}
			// It may allow some filters and not this one.
			w.Treeless, w.Blobless = false, r.blobless(a)
		}
		if r.store.Has(from) {
			w.Haves, w.Shallows = append(w.Haves, from), []plumbing.Hash{from}
		}
		return nil, r.remote.Fetch(ctx, a, w, r.store.AddPack)
	})
}

// side says from where a commit is reached.
type side uint8

const (
	wanted side = 1 << iota
	had
)

// walk is a way through the commits that are at hand, from both ends by date, as
// git's rev-list goes: until nothing is left that only the wanting side reaches.
type walk struct {
	objects *trees.Objects
	depth   int
	nodes   map[plumbing.Hash]*node
	queue   nodes
	// open counts queued commits that only the wanting side reaches.
	open int
	// found are the commits, the newest first; gaps says that some on the way are
	// not at hand.
	found []*node
	gaps  bool
}

// commits are those found that only the wanting side reaches.
func (w *walk) commits() []overlays.Commit {
	var commits []overlays.Commit
	for _, n := range w.found {
		if n.side == wanted {
			commits = append(commits, overlays.Commit{
				Revision: overlays.Revision(n.Hash.String()), Parents: revisions(n.ParentHashes), Trailers: trailersOf(n.Message),
			})
		}
	}
	return commits
}

// node is a commit on the way; generation is its distance from the tip, from 1.
type node struct {
	*object.Commit
	side       side
	generation int
	queued     bool
}

// walk goes through what is in the store.
func (r *repository) walk(from, until plumbing.Hash, depth int) (*walk, error) {
	w := &walk{objects: r.objectsOf(from), depth: depth, nodes: map[plumbing.Hash]*node{}}
	if !until.IsZero() {
		if err := w.reach(until, had, 1); err != nil {
			return w, err
		}
		// That the old end is not at hand is no gap.
		w.gaps = false
	}
	if err := w.reach(from, wanted, 1); err != nil {
		return w, err
	}
	for w.open > 0 {
		n, _ := heap.Pop(&w.queue).(*node)
		n.queued = false
		next := had
		if n.side == wanted {
			w.open--
			w.found = append(w.found, n)
			next = wanted
		}
		for _, parent := range n.ParentHashes {
			if err := w.reach(parent, next, n.generation+1); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// reach marks a commit and queues it where the mark is new to it.
func (w *walk) reach(hash plumbing.Hash, by side, generation int) error {
	n, known := w.nodes[hash]
	switch {
	case !known:
		if by == wanted && generation > w.depth {
			return nil
		}
		commit, err := w.objects.Find(hash)
		if errors.Is(err, store.ErrMissing) {
			w.gaps = w.gaps || by == wanted
			return nil
		}
		if err != nil {
			return err
		}
		n = &node{Commit: commit, generation: generation}
		w.nodes[hash] = n
	case n.side|by == n.side:
		return nil
	}
	if n.queued && n.side == wanted {
		// It is had as well, so it is open no more.
		w.open--
	}
	n.side |= by
	if n.queued {
		return nil
	}
	if n.side == wanted {
		w.open++
	}
	n.queued = true
	heap.Push(&w.queue, n)
	return nil
}

// nodes is a heap of commits, the newest first.
type nodes []*node

// Len, Less, Swap, Push and Pop are heap.Interface.
func (q nodes) Len() int           { return len(q) }
func (q nodes) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q nodes) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds at the end.
func (q *nodes) Push(x any) {
	if n, is := x.(*node); is {
		*q = append(*q, n)
	}
}

// Pop takes from the end.
func (q *nodes) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
