package trees

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Files is the tree of a commit as a read-only file system. A file's content
// is fetched when it is read first, together with what else its directory has
// of configuration. Symbolic links are followed inside the repository and
// refused where they leave it.
type Files struct {
	// ctx carries the caller's values; io/fs has no room for one in its methods.
	ctx     context.Context
	objects *Objects
	root    plumbing.Hash
}

var (
	_ fs.ReadFileFS = (*Files)(nil)
	_ fs.ReadDirFS  = (*Files)(nil)
	_ fs.StatFS     = (*Files)(nil)
)

// NewFiles reads the tree root.
func NewFiles(ctx context.Context, objects *Objects, root plumbing.Hash) *Files {
	return &Files{ctx: ctx, objects: objects, root: root}
}

// found is an entry with the directory that holds it.
type found struct {
	entry object.TreeEntry
	// dir is nil for the root.
	dir *object.Tree
}

// errEscapes: a symbolic link leads out of the repository.
var errEscapes = errors.New("the symbolic link leads out of the repository")

// Open opens a file or a directory.
func (f *Files) Open(name string) (fs.File, error) {
	at, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	info := &info{files: f, found: at, name: path.Base(name)}
	if info.IsDir() {
		entries, err := f.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: info, entries: entries}, nil
	}
	content, err := f.content(at)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openBlob{info: info, Reader: bytes.NewReader(content)}, nil
}

// ReadFile reads a file.
func (f *Files) ReadFile(name string) ([]byte, error) {
	at, err := f.find("read", name)
	if err != nil {
		return nil, err
	}
	if at.entry.Mode == filemode.Dir {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	content, err := f.content(at)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// Stat describes a file; its size is read when it is asked for.
func (f *Files) Stat(name string) (fs.FileInfo, error) {
	at, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return &info{files: f, found: at, name: path.Base(name)}, nil
}

// ReadDir lists a directory by name.
func (f *Files) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if at.entry.Mode != filemode.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	tree, err := f.objects.Tree(f.ctx, at.entry.Hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	entries := make([]fs.DirEntry, 0, len(tree.Entries))
	for _, entry := range tree.Entries {
		entries = append(entries, fs.FileInfoToDirEntry(&info{files: f, found: found{entry: entry, dir: tree}, name: entry.Name}))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// find goes down to a name, following symbolic links.
func (f *Files) find(op, name string) (found, error) {
	if !fs.ValidPath(name) {
		return found{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, err := f.walk(name, 0)
	if err != nil {
		return found{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return at, nil
}

func (f *Files) walk(name string, links int) (found, error) {
	at := found{entry: object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: f.root}}
	if name == "." {
		return at, nil
	}
	steps := strings.Split(name, "/")
	for i, step := range steps {
		if at.entry.Mode != filemode.Dir {
			return found{}, fs.ErrNotExist
		}
		tree, err := f.objects.Tree(f.ctx, at.entry.Hash)
		if err != nil {
			return found{}, err
		}
		entry, ok := entryOf(tree, step)
		if !ok {
			return found{}, fs.ErrNotExist
		}
		at = found{entry: entry, dir: tree}
		if entry.Mode != filemode.Symlink {
			continue
		}
		if links > 20 {
			return found{}, errors.New("too many symbolic links")
		}
		target, err := f.content(at)
		if err != nil {
			return found{}, err
		}
		to := path.Join(append([]string{path.Join(steps[:i]...), string(target)}, steps[i+1:]...)...)
		if path.IsAbs(string(target)) || !fs.ValidPath(to) {
			return found{}, errEscapes
		}
		return f.walk(to, links+1)
	}
	return at, nil
}

// entryOf finds an entry by its name. Trees are sorted, but directories as if
// their names ended in "/", so the search is not by bisection.
func entryOf(tree *object.Tree, name string) (object.TreeEntry, bool) {
	for _, entry := range tree.Entries {
		if entry.Name == name {
			return entry, true
		}
	}
	return object.TreeEntry{}, false
}

// content reads a file's content, and fetches with it what its directory has
// of configuration: one request for all that a kustomization names.
func (f *Files) content(at found) ([]byte, error) {
	if at.entry.Mode == filemode.Submodule {
		return nil, errors.New("is a Git submodule, which is not part of this repository")
	}
	return f.objects.content(f.ctx, plumbing.BlobObject, at.entry.Hash, func() []plumbing.Hash { return configuration(at.dir) })
}

// configuration are the files of a directory that a rendering is likely to
// read, at most 256.
func configuration(dir *object.Tree) []plumbing.Hash {
	var hashes []plumbing.Hash
	for _, entry := range dir.Entries {
		if entry.Mode != filemode.Regular && entry.Mode != filemode.Executable && entry.Mode != filemode.Deprecated {
			continue
		}
		switch path.Ext(entry.Name) {
		case ".yaml", ".yml", ".json", ".env", ".properties", ".conf", ".toml", "":
			hashes = append(hashes, entry.Hash)
		}
		if len(hashes) == 256 {
			break
		}
	}
	return hashes
}

// info describes an entry.
type info struct {
	files *Files
	found found
	name  string
}

// Name is the last part of the path.
func (i *info) Name() string { return i.name }

// IsDir says whether it is a directory.
func (i *info) IsDir() bool { return i.found.entry.Mode == filemode.Dir }

// ModTime is zero: Git keeps none.
func (i *info) ModTime() time.Time { return time.Time{} }

// Sys is the entry's hash.
func (i *info) Sys() any { return i.found.entry.Hash }

// Size is the content's length; zero where it cannot be read.
func (i *info) Size() int64 {
	if i.IsDir() || i.found.dir == nil {
		return 0
	}
	content, err := i.files.content(i.found)
	if err != nil {
		return 0
	}
	return int64(len(content))
}

// Mode is the entry's kind and permission.
func (i *info) Mode() fs.FileMode {
	switch i.found.entry.Mode {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Executable:
		return 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		return fs.ModeIrregular | 0o755
	}
	return 0o644
}

// openBlob is an open file.
type openBlob struct {
	*bytes.Reader
	info *info
}

// Stat describes the file.
func (o *openBlob) Stat() (fs.FileInfo, error) { return o.info, nil }

// Close does nothing: the content is in memory.
func (*openBlob) Close() error { return nil }

// openDir is an open directory.
type openDir struct {
	info    *info
	entries []fs.DirEntry
	at      int
}

// Stat describes the directory.
func (o *openDir) Stat() (fs.FileInfo, error) { return o.info, nil }

// Close does nothing.
func (*openDir) Close() error { return nil }

// Read is refused.
func (o *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: o.info.name, Err: fmt.Errorf("is a directory: %w", fs.ErrInvalid)}
}

// ReadDir lists the next n entries, all that are left for n <= 0.
func (o *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	left := o.entries[o.at:]
	if n <= 0 {
		o.at = len(o.entries)
		return slices.Clone(left), nil
	}
	if len(left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(left))
	o.at += n
	return slices.Clone(left[:n]), nil
}
