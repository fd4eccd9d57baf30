package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// objects reads the objects of one tip, and holds those that a write makes
// until they are pushed.
type objects struct {
	repo *repository
	// tip is the commit that is read; with a server that gives no object by its
	// hash it is fetched again with all its contents.
	tip plumbing.Hash

	mu    sync.Mutex
	trees map[plumbing.Hash]*object.Tree
	// fresh are the objects of a write, in the order they were made.
	fresh  map[plumbing.Hash]*plumbing.MemoryObject
	writes []plumbing.EncodedObject
}

func (r *repository) objectsOf(tip plumbing.Hash) *objects {
	return &objects{
		repo: r, tip: tip,
		trees: map[plumbing.Hash]*object.Tree{},
		fresh: map[plumbing.Hash]*plumbing.MemoryObject{},
	}
}

// put makes a new object.
func (o *objects) put(kind plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	fresh := &plumbing.MemoryObject{}
	fresh.SetType(kind)
	if _, err := fresh.Write(content); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make a %s: %w", kind, err)
	}
	return o.putObject(fresh), nil
}

func (o *objects) putObject(fresh *plumbing.MemoryObject) plumbing.Hash {
	o.mu.Lock()
	defer o.mu.Unlock()
	hash := fresh.Hash()
	if _, ok := o.fresh[hash]; !ok {
		o.fresh[hash] = fresh
		o.writes = append(o.writes, fresh)
	}
	return hash
}

// drop forgets the new objects made since there were n of them.
func (o *objects) drop(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, object := range o.writes[n:] {
		delete(o.fresh, object.Hash())
	}
	o.writes = o.writes[:n]
}

// made is how many objects were made, for drop.
func (o *objects) made() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.writes)
}

// local reads an object that is at hand.
func (o *objects) local(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	o.mu.Lock()
	fresh, ok := o.fresh[hash]
	o.mu.Unlock()
	if !ok {
		return o.repo.store.read(kind, hash)
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
func (o *objects) content(ctx context.Context, kind plumbing.ObjectType, hash plumbing.Hash, along func() []plumbing.Hash) ([]byte, error) {
	content, err := o.local(kind, hash)
	switch {
	case errors.Is(err, errMissing):
	case errors.Is(err, errDamaged):
		if err := o.repo.store.reset(); err != nil {
			return nil, err
		}
	default:
		return content, err
	}
	wanted := []plumbing.Hash{hash}
	if along != nil {
		wanted = append(wanted, o.repo.store.missing(along())...)
	}
	if err := o.repo.fetchObjects(ctx, o.tip, kind, wanted); err != nil {
		return nil, err
	}
	content, err = o.local(kind, hash)
	if errors.Is(err, errMissing) {
		return nil, fmt.Errorf("%w: the server does not give %s %s", errDamaged, kind, hash)
	}
	return content, err
}

// tree reads a tree.
func (o *objects) tree(ctx context.Context, hash plumbing.Hash) (*object.Tree, error) {
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
		return nil, fmt.Errorf("%w: tree %s: %v", errDamaged, hash, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trees[hash] = tree
	return tree, nil
}

// commit reads a commit.
func (o *objects) commit(hash plumbing.Hash) (*object.Commit, error) {
	content, err := o.local(plumbing.CommitObject, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: commit %s: %v", errDamaged, hash, err)
	}
	commit := &object.Commit{}
	if err := decode(plumbing.CommitObject, content, commit); err != nil {
		return nil, fmt.Errorf("%w: commit %s: %v", errDamaged, hash, err)
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
