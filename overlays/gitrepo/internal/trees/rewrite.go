package trees

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/serin-gitops/serin/overlays"
)

// edits are the changed files below one directory.
type edits struct {
	// files are contents by name; nil removes.
	files map[string][]byte
	dirs  map[string]*edits
}

// arrange sorts changed files into directories.
func arrange(changed []overlays.File) (*edits, error) {
	root := newEdits()
	for _, file := range changed {
		if !fs.ValidPath(file.Path) || file.Path == "." || gitDir(file.Path) {
			return nil, fmt.Errorf("edit: %q is not a path inside the repository", file.Path)
		}
		steps := strings.Split(file.Path, "/")
		at := root
		for _, step := range steps[:len(steps)-1] {
			if at.dirs[step] == nil {
				at.dirs[step] = newEdits()
			}
			at = at.dirs[step]
		}
		name := steps[len(steps)-1]
		if _, twice := at.files[name]; twice {
			return nil, fmt.Errorf("edit: %s is there twice", file.Path)
		}
		at.files[name] = file.Content
	}
	return root, nil
}

func newEdits() *edits {
	return &edits{files: map[string][]byte{}, dirs: map[string]*edits{}}
}

// gitDir says whether some part of a path is .git: a checkout of such a tree
// would overwrite the clone's own configuration.
func gitDir(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(step string) bool { return strings.EqualFold(step, ".git") })
}

// Rewrite makes the trees on the edited paths anew and returns the new root
// with the paths that differ. An empty tree is the zero hash.
func (o *Objects) Rewrite(ctx context.Context, root plumbing.Hash, changed []overlays.File) (plumbing.Hash, []string, error) {
	e, err := arrange(changed)
	if err != nil {
		return plumbing.ZeroHash, nil, err
	}
	w := &rewriter{ctx: ctx, objects: o}
	hash, err := w.dir(root, e, "")
	if err != nil {
		return plumbing.ZeroHash, nil, err
	}
	if hash.IsZero() {
		if hash, err = o.Put(plumbing.TreeObject, nil); err != nil {
			return plumbing.ZeroHash, nil, err
		}
	}
	slices.Sort(w.paths)
	return hash, w.paths, nil
}

type rewriter struct {
	ctx     context.Context
	objects *Objects
	paths   []string
}

// dir rewrites one directory; hash is zero where there was none.
func (w *rewriter) dir(hash plumbing.Hash, e *edits, prefix string) (plumbing.Hash, error) {
	tree := &object.Tree{}
	if !hash.IsZero() {
		was, err := w.objects.Tree(w.ctx, hash)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		tree.Entries = slices.Clone(was.Entries)
	}
	before := len(w.paths)
	for _, name := range sortedKeys(e.files) {
		if err := w.file(tree, name, prefix+name, e.files[name]); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	for _, name := range sortedKeys(e.dirs) {
		if err := w.child(tree, name, prefix+name, e.dirs[name]); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if len(w.paths) == before {
		return hash, nil
	}
	if len(tree.Entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	sort.Sort(object.TreeEntrySorter(tree.Entries))
	encoded := &plumbing.MemoryObject{}
	if err := tree.Encode(encoded); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("directory %s: %w", strings.TrimSuffix(prefix, "/"), err)
	}
	return w.objects.PutObject(encoded), nil
}

// file sets or removes one file of a tree.
func (w *rewriter) file(tree *object.Tree, name, at string, content []byte) error {
	index := indexOf(tree, name)
	if content == nil {
		if index >= 0 {
			tree.Entries = slices.Delete(tree.Entries, index, index+1)
			w.paths = append(w.paths, at)
		}
		return nil
	}
	mode := filemode.Regular
	if index >= 0 {
		mode = tree.Entries[index].Mode
	}
	if mode != filemode.Regular && mode != filemode.Executable && mode != filemode.Deprecated {
		return fmt.Errorf("edit: %s is not a file in the repository but a %s; edit what it stands for", at, kindName(mode))
	}
	hash := plumbing.ComputeHash(plumbing.BlobObject, content)
	switch {
	case index < 0:
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: mode, Hash: hash})
	case tree.Entries[index].Hash == hash:
		return nil
	default:
		tree.Entries[index].Hash = hash
	}
	if _, err := w.objects.Put(plumbing.BlobObject, content); err != nil {
		return err
	}
	w.paths = append(w.paths, at)
	return nil
}

// child rewrites a directory inside a tree.
func (w *rewriter) child(tree *object.Tree, name, at string, e *edits) error {
	index := indexOf(tree, name)
	hash := plumbing.ZeroHash
	if index >= 0 {
		if mode := tree.Entries[index].Mode; mode != filemode.Dir {
			return fmt.Errorf("edit: %s is not a directory in the repository but a %s", at, kindName(mode))
		}
		hash = tree.Entries[index].Hash
	}
	fresh, err := w.dir(hash, e, at+"/")
	switch {
	case err != nil:
		return err
	case fresh == hash:
	case fresh.IsZero():
		tree.Entries = slices.Delete(tree.Entries, index, index+1)
	case index < 0:
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: fresh})
	default:
		tree.Entries[index].Hash = fresh
	}
	return nil
}

func indexOf(tree *object.Tree, name string) int {
	return slices.IndexFunc(tree.Entries, func(entry object.TreeEntry) bool { return entry.Name == name })
}

func kindName(mode filemode.FileMode) string {
	switch mode {
	case filemode.Dir:
		return "directory"
	case filemode.Symlink:
		return "symbolic link"
	case filemode.Submodule:
		return "submodule"
	}
	return "file"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
