package trees

import (
	"context"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Differing lists the files in which two trees differ. Only trees that differ
// are read.
func (o *Objects) Differing(ctx context.Context, a, b plumbing.Hash) ([]string, error) {
	var paths []string
	if err := o.compare(ctx, a, b, "", &paths); err != nil {
		return nil, err
	}
	slices.Sort(paths)
	return paths, nil
}

func (o *Objects) compare(ctx context.Context, a, b plumbing.Hash, prefix string, paths *[]string) error {
	before, err := o.entries(ctx, a)
	if err != nil {
		return err
	}
	after, err := o.entries(ctx, b)
	if err != nil {
		return err
	}
	for _, name := range union(before, after) {
		was, is := before[name], after[name]
		if was == is {
			continue
		}
		if was.Mode != filemode.Dir && is.Mode != filemode.Dir {
			*paths = append(*paths, prefix+name)
			continue
		}
		if err := o.compare(ctx, dirHash(was), dirHash(is), prefix+name+"/", paths); err != nil {
			return err
		}
		if isFile(was) || isFile(is) {
			*paths = append(*paths, prefix+name)
		}
	}
	return nil
}

// entries are a tree's entries by name; no tree has none.
func (o *Objects) entries(ctx context.Context, hash plumbing.Hash) (map[string]object.TreeEntry, error) {
	entries := map[string]object.TreeEntry{}
	if hash.IsZero() {
		return entries, nil
	}
	tree, err := o.Tree(ctx, hash)
	if err != nil {
		return nil, err
	}
	for _, entry := range tree.Entries {
		entries[entry.Name] = entry
	}
	return entries, nil
}

func union(a, b map[string]object.TreeEntry) []string {
	names := sortedKeys(a)
	for _, name := range sortedKeys(b) {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	return names
}

func dirHash(entry object.TreeEntry) plumbing.Hash {
	if entry.Mode == filemode.Dir {
		return entry.Hash
	}
	return plumbing.ZeroHash
}

func isFile(entry object.TreeEntry) bool {
	return entry.Name != "" && entry.Mode != filemode.Dir
}
