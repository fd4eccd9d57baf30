package graph

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// maxBases bounds the trees that a commit without a known parent is compared
// with.
const maxBases = 4

// Selection is what one side asks for and what it says that it has.
type Selection struct {
	// Wants are commits, tags, trees or blobs; Haves are commits.
	Wants, Haves []plumbing.Hash
	// Shallow are the roots of the other side's history.
	Shallow []plumbing.Hash
	// Cut are the roots that its history shall have; nil is all of it.
	Cut []plumbing.Hash
	// NoBlobs leaves out blobs that are not themselves wanted.
	NoBlobs bool
	// NoTrees leaves out the trees of commits, and all that is in them.
	NoTrees bool
	// Verify asks that all that is selected is there.
	Verify bool
}

// Objects lists what to send, each object once. An object that is missing is
// an error.
func (s Selection) Objects(ctx context.Context, store storer.EncodedObjectStorer) ([]plumbing.Hash, error) {
	collect := &objects{store: store, noBlobs: s.NoBlobs, verify: s.Verify, seen: Set{}}
	commits, err := s.addWants(ctx, collect)
	if err != nil {
		return nil, err
	}
	walk := &history{store: store, cutWanted: SetOf(s.Cut), cutHad: SetOf(s.Shallow)}
	missing, err := walk.missing(ctx, commits, s.Haves)
	if err != nil {
		return nil, err
	}
	sent := Set{}
	for _, commit := range missing {
		sent[commit.Hash] = struct{}{}
	}
	for _, commit := range missing {
		if s.NoTrees {
			collect.add(commit.Hash)
			continue
		}
		bases, err := s.bases(store, commit, func(h plumbing.Hash) bool { return sent.Has(h) || walk.known(h) })
		if err != nil {
			return nil, err
		}
		collect.add(commit.Hash)
		if err := collect.addTree(ctx, commit.TreeHash, bases); err != nil {
			return nil, fmt.Errorf("commit %s: %w", commit.Hash, err)
		}
	}
	return collect.list, nil
}

// addWants collects wanted tags, trees and blobs, and returns the commits.
func (s Selection) addWants(ctx context.Context, collect *objects) ([]plumbing.Hash, error) {
	var commits []plumbing.Hash
	for _, want := range s.Wants {
		found, err := collect.store.EncodedObject(plumbing.AnyObject, want)
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", want, err)
		}
		for found.Type() == plumbing.TagObject {
			tag, err := object.DecodeTag(collect.store, found)
			if err != nil {
				return nil, fmt.Errorf("tag %s: %w", found.Hash(), err)
			}
			collect.add(tag.Hash)
			if found, err = collect.store.EncodedObject(plumbing.AnyObject, tag.Target); err != nil {
				return nil, fmt.Errorf("target of tag %s: %w", tag.Hash, err)
			}
		}
		switch found.Type() {
		case plumbing.CommitObject:
			commits = append(commits, found.Hash())
		case plumbing.TreeObject:
			if err := collect.addTree(ctx, found.Hash(), nil); err != nil {
				return nil, err
			}
		default:
			collect.add(found.Hash())
		}
	}
	return commits, nil
}

// bases are trees that the other side has, or is sent, and that resemble the
// commit's: its parents', or of one whose parents it does not have those of
// the haves.
func (s Selection) bases(store storer.EncodedObjectStorer, commit *object.Commit, known func(plumbing.Hash) bool) ([]*object.Tree, error) {
	var near []plumbing.Hash
	for _, parent := range commit.ParentHashes {
		if known(parent) {
			near = append(near, parent)
		}
	}
	if len(near) == 0 {
		near = s.Haves[:min(len(s.Haves), maxBases)]
	}
	var trees []*object.Tree
	for _, hash := range near {
		base, err := object.GetCommit(store, hash)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", hash, err)
		}
		tree, err := object.GetTree(store, base.TreeHash)
		if err != nil {
			return nil, fmt.Errorf("tree of commit %s: %w", hash, err)
		}
		trees = append(trees, tree)
	}
	return trees, nil
}
