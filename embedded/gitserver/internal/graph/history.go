// Package graph walks the commits and trees of a Git repository: what one side
// has to send another, and as which pack.
package graph

import (
	"container/heap"
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Set is a set of object ids.
type Set map[plumbing.Hash]struct{}

// SetOf makes a Set of a list.
func SetOf(list []plumbing.Hash) Set {
	set := make(Set, len(list))
	set.Add(list)
	return set
}

// Add puts a list into the set.
func (s Set) Add(list []plumbing.Hash) {
	for _, h := range list {
		s[h] = struct{}{}
	}
}

// Has says whether h is in the set.
func (s Set) Has(h plumbing.Hash) bool { _, found := s[h]; return found }

// mark says from which side a commit was reached.
type mark uint8

const (
	wanted mark = 1 << iota
	had
)

// queue is a heap of commits, the newest first.
type queue []*object.Commit

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*object.Commit)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// history finds the commits that one side wants and the other lacks, as git's
// rev-list does: from both sides by date, until nothing is left that only the
// wanting side reaches. A clock that was wrong costs commits sent twice, never
// one that is missing.
type history struct {
	store storer.EncodedObjectStorer
	// cutWanted and cutHad end a side: their parents are not on it.
	cutWanted, cutHad Set

	marks map[plumbing.Hash]mark
	queue queue
	// open counts queued commits that only the wanting side reaches.
	open int
}

// missing returns the commits reachable from wants and not from haves, newest
// first, and leaves the marks for known.
func (h *history) missing(ctx context.Context, wants, haves []plumbing.Hash) ([]*object.Commit, error) {
	h.marks = map[plumbing.Hash]mark{}
	for _, hash := range haves {
		if err := h.reach(hash, had); err != nil {
			return nil, err
		}
	}
	for _, hash := range wants {
		if err := h.reach(hash, wanted); err != nil {
			return nil, err
		}
	}
	var found []*object.Commit
	for h.open > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		commit := heap.Pop(&h.queue).(*object.Commit)
		side, cut := h.marks[commit.Hash], h.cutHad
		if side == wanted {
			h.open--
			found = append(found, commit)
			cut = h.cutWanted
		}
		if cut.Has(commit.Hash) {
			continue
		}
		if side&had != 0 {
			side = had
		}
		for _, parent := range commit.ParentHashes {
			if err := h.reach(parent, side); err != nil {
				return nil, fmt.Errorf("parent of commit %s: %w", commit.Hash, err)
			}
		}
	}
	return h.only(found), nil
}

// reach marks a commit, and queues it where the mark is new to it.
func (h *history) reach(hash plumbing.Hash, side mark) error {
	before := h.marks[hash]
	if before|side == before {
		return nil
	}
	if before == wanted {
		// It may be queued as wanted; open must then not count it any more.
		for _, queued := range h.queue {
			if queued.Hash == hash {
				h.open--
				h.marks[hash] |= side
				return nil
			}
		}
	}
	commit, err := object.GetCommit(h.store, hash)
	if err != nil {
		return fmt.Errorf("commit %s: %w", hash, err)
	}
	h.marks[hash] = before | side
	if h.marks[hash] == wanted {
		h.open++
	}
	heap.Push(&h.queue, commit)
	return nil
}

// only drops what turned out to be had after it was found.
func (h *history) only(found []*object.Commit) []*object.Commit {
	kept := found[:0]
	for _, commit := range found {
		if h.marks[commit.Hash] == wanted {
			kept = append(kept, commit)
		}
	}
	return kept
}

// known says whether the other side has a commit with all that it needs.
func (h *history) known(hash plumbing.Hash) bool { return h.marks[hash]&had != 0 }

// Boundary returns the commits at depth, counted from 1 at the wants, that have
// parents: the other side is to treat them as roots (git's "shallow"); inside
// holds every commit down to there.
func Boundary(store storer.EncodedObjectStorer, wants []plumbing.Hash, depth int) (cut []plumbing.Hash, inside Set, err error) {
	inside = Set{}
	level := wants
	for n := 1; len(level) > 0 && n <= depth; n++ {
		var next []plumbing.Hash
		for _, hash := range level {
			if inside.Has(hash) {
				continue
			}
			commit, err := object.GetCommit(store, hash)
			if err != nil {
				return nil, nil, fmt.Errorf("commit %s: %w", hash, err)
			}
			inside[hash] = struct{}{}
			if n == depth && len(commit.ParentHashes) > 0 {
				cut = append(cut, hash)
			}
			next = append(next, commit.ParentHashes...)
		}
		level = next
	}
	return cut, inside, nil
}

// Peel follows tags to a commit.
func Peel(store storer.EncodedObjectStorer, hash plumbing.Hash) (plumbing.Hash, error) {
	for {
		tag, err := object.GetTag(store, hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	_, err := object.GetCommit(store, hash)
	return hash, err
}

// Reaches says whether start or one of its ancestors is in targets.
func Reaches(ctx context.Context, store storer.EncodedObjectStorer, start plumbing.Hash, targets Set) (bool, error) {
	seen, next := Set{}, []plumbing.Hash{start}
	for len(next) > 0 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		hash := next[0]
		next = next[1:]
		if targets.Has(hash) {
			return true, nil
		}
		if seen.Has(hash) {
			continue
		}
		seen[hash] = struct{}{}
		commit, err := object.GetCommit(store, hash)
		if err != nil {
			return false, err
		}
		next = append(next, commit.ParentHashes...)
	}
	return false, nil
}

// objects collects what to send of commits: each commit, and of its tree what
// differs from trees that the other side has.
type objects struct {
	store storer.EncodedObjectStorer
	// noBlobs leaves blobs out (the filter blob:none).
	noBlobs bool
	// verify asks of every blob that it is there.
	verify bool
	seen   Set
	list   []plumbing.Hash
}

func (o *objects) add(hash plumbing.Hash) bool {
	if o.seen.Has(hash) {
		return false
	}
	o.seen[hash] = struct{}{}
	o.list = append(o.list, hash)
	return true
}

// addTree collects a tree. A subtree or blob that one of bases has under the
// same name is left out: so one commit of a repository of 50,000 files costs
// the trees on the edited path.
func (o *objects) addTree(ctx context.Context, hash plumbing.Hash, bases []*object.Tree) error {
	for _, base := range bases {
		if base.Hash == hash {
			return nil
		}
	}
	if !o.add(hash) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tree, err := object.GetTree(o.store, hash)
	if err != nil {
		return fmt.Errorf("tree %s: %w", hash, err)
	}
	known := indexEntries(bases)
	for _, entry := range tree.Entries {
		if err := o.addEntry(ctx, entry, known[entry.Name]); err != nil {
			return err
		}
	}
	return nil
}

func (o *objects) addEntry(ctx context.Context, entry object.TreeEntry, known []object.TreeEntry) error {
	if entry.Mode == filemode.Submodule {
		return nil
	}
	for _, base := range known {
		if base.Hash == entry.Hash {
			return nil
		}
	}
	if entry.Mode != filemode.Dir {
		if o.noBlobs || !o.add(entry.Hash) || !o.verify {
			return nil
		}
		if err := o.store.HasEncodedObject(entry.Hash); err != nil {
			return fmt.Errorf("blob %s of %s: %w", entry.Hash, entry.Name, err)
		}
		return nil
	}
	var below []*object.Tree
	for _, base := range known {
		if base.Mode != filemode.Dir {
			continue
		}
		// A base only saves work: one that cannot be read saves none.
		if tree, err := object.GetTree(o.store, base.Hash); err == nil {
			below = append(below, tree)
		}
	}
	return o.addTree(ctx, entry.Hash, below)
}

// indexEntries is the entries of all bases by name.
func indexEntries(bases []*object.Tree) map[string][]object.TreeEntry {
	known := map[string][]object.TreeEntry{}
	for _, base := range bases {
		for _, entry := range base.Entries {
			known[entry.Name] = append(known[entry.Name], entry)
		}
	}
	return known
}
