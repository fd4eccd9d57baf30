// Package trees reads the trees of a tip as files, and rewrites those on the
// paths of an edit.
package trees

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/serin-gitops/serin/overlays/gitrepo/internal/store"
)

// Source is where objects come from.
type Source struct {
	Store *store.Store
	// Fetch asks the server for objects by their hashes; tip is the commit that
	// is read, for servers that give no object by its hash.
	Fetch func(ctx context.Context, tip plumbing.Hash, kind plumbing.ObjectType, hashes []plumbing.Hash) error
}

// Objects reads the objects of one tip, and holds those that a write makes
// until they are pushed.
type Objects struct {
	source Source
	tip    plumbing.Hash

	mu    sync.Mutex
	trees map[plumbing.Hash]*object.Tree
	// fresh are the objects of a write by hash, writes in the order they were made.
	fresh  map[plumbing.Hash]*plumbing.MemoryObject
	writes []plumbing.EncodedObject
}

// New reads a tip.
func New(source Source, tip plumbing.Hash) *Objects {
	return &Objects{
		source: source, tip: tip,
		trees: map[plumbing.Hash]*object.Tree{},
		fresh: map[plumbing.Hash]*plumbing.MemoryObject{},
	}
}

// Writes are the new objects in the order they were made.
func (o *Objects) Writes() []plumbing.EncodedObject {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.writes)
}

// Put makes a new object.
func (o *Objects) Put(kind plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	fresh := &plumbing.MemoryObject{}
	fresh.SetType(kind)
	if _, err := fresh.Write(content); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make a %s: %w", kind, err)
	}
	return o.PutObject(fresh), nil
}

// PutObject takes a new object in.
func (o *Objects) PutObject(fresh *plumbing.MemoryObject) plumbing.Hash {
	o.mu.Lock()
	defer o.mu.Unlock()
	hash := fresh.Hash()
	if _, ok := o.fresh[hash]; !ok {
		o.fresh[hash] = fresh
		o.writes = append(o.writes, fresh)
	}
	return hash
}

// Drop forgets the new objects made since there were n of them.
func (o *Objects) Drop(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, object := range o.writes[n:] {
		delete(o.fresh, object.Hash())
	}
	o.writes = o.writes[:n]
}

// Made is how many objects were made, for drop.
func (o *Objects) Made() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.writes)
}

// local reads an object that is at hand.
func (o *Objects) local(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	o.mu.Lock()
	fresh, ok := o.fresh[hash]
	o.mu.Unlock()
	if !ok {
		return o.source.Store.Read(kind, hash)
	}
	reader, err := fresh.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, hash, err)
	}
	content := make([]byte, fresh.Size())
	if _, err := io.ReadFull(reader, content); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, hash, err)
	}
	return content, nil
}

// content reads an object, from the server where it is not at hand; along are
// more objects to ask for in the same request.
func (o *Objects) content(ctx context.Context, kind plumbing.ObjectType, hash plumbing.Hash, along func() []plumbing.Hash) ([]byte, error) {
	content, err := o.local(kind, hash)
	switch {
	case errors.Is(err, store.ErrMissing):
	case errors.Is(err, store.ErrDamaged):
		if err := o.source.Store.Reset(); err != nil {
			return nil, err
		}
	default:
		return content, err
	}
	wanted := []plumbing.Hash{hash}
	if along != nil {
		wanted = append(wanted, o.source.Store.Missing(along())...)
	}
	if err := o.source.Fetch(ctx, o.tip, kind, wanted); err != nil {
		return nil, err
	}
	content, err = o.local(kind, hash)
	if errors.Is(err, store.ErrMissing) {
		return nil, fmt.Errorf("%w: the server does not give %s %s", store.ErrDamaged, kind, hash)
	}
	return content, err
}

// Tree reads a tree.
func (o *Objects) Tree(ctx context.Context, hash plumbing.Hash) (*object.Tree, error) {
	o.mu.Lock()
	tree, ok := o.trees[hash]
	o.mu.Unlock()
	if ok {
		return tree, nil
	}
	content, err := o.content(ctx, plumbing.TreeObject, hash, nil)
	if err != nil {
		return nil, err
	}
	tree = &object.Tree{}
	if err := decode(plumbing.TreeObject, content, tree); err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", store.ErrDamaged, hash, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trees[hash] = tree
	return tree, nil
}

// Commit reads a commit that must be at hand.
func (o *Objects) Commit(hash plumbing.Hash) (*object.Commit, error) {
	commit, err := o.Find(hash)
	if errors.Is(err, store.ErrMissing) {
		return nil, fmt.Errorf("%w: commit %s: %w", store.ErrDamaged, hash, err)
	}
	return commit, err
}

// Find reads a commit that may be at hand. Errors: store.ErrMissing,
// store.ErrDamaged.
func (o *Objects) Find(hash plumbing.Hash) (*object.Commit, error) {
	content, err := o.local(plumbing.CommitObject, hash)
	if errors.Is(err, store.ErrMissing) {
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: commit %s: %w", store.ErrDamaged, hash, err)
	}
	commit := &object.Commit{}
	if err := decode(plumbing.CommitObject, content, commit); err != nil {
		return nil, fmt.Errorf("%w: commit %s: %w", store.ErrDamaged, hash, err)
	}
	return commit, nil
}

// decoder is a tree or a commit of go-git.
type decoder interface {
	Decode(plumbing.EncodedObject) error
}

func decode(kind plumbing.ObjectType, content []byte, into decoder) error {
	encoded := &plumbing.MemoryObject{}
	encoded.SetType(kind)
	if _, err := encoded.Write(content); err != nil {
		return err
	}
	return into.Decode(encoded)
}
