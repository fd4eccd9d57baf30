// Package confined shows a repository's files to kustomize and keeps it inside
// them: no writing, no path that leaves, nothing remote.
package confined

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/serin-gitops/serin/overlays/internal/yamledit"
)

// KustomizationNames are the names that kustomize looks for in a directory.
var KustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Mount is where kustomize sees the repository's root. It is not "/", so that
// a path which leaves the repository is seen to do so: "/.." is "/" again.
const Mount = "/repository"

var errReadOnly = errors.New("the repository is read only while it is rendered")

// FS is a repository below Mount. kustomize hides the reason when it cannot read
// a file (it goes on to try the path as a Git address), so the first refusal is
// kept here.
type FS struct {
	files   fs.FS
	refusal error
	// plugins are files that a kustomization named as configurations of plug-ins.
	plugins map[string]bool
	// reads and bytes that one rendering took so far.
	reads int
	bytes int64
}

// Bounds of one rendering. kustomize reads a base again each time it is named,
// so these bound what bases that name each other over and over can grow to.
const (
	maxReads = 5000
	maxBytes = 32 << 20
)

// New shows files.
func New(files fs.FS) *FS { return &FS{files: files, plugins: map[string]bool{}} }

// Refusal is the first thing that was refused; nil when nothing was.
func (r *FS) Refusal() error { return r.refusal }

var _ filesys.FileSystem = (*FS)(nil)

// refuse keeps the first refusal and returns it.
func (r *FS) refuse(err error) error {
	if r.refusal == nil {
		r.refusal = err
	}
	return err
}

// name is a path of kustomize as fs.FS takes it.
func (r *FS) name(p string) (string, error) {
	clean := path.Clean(p)
	switch {
	case clean == Mount:
		return ".", nil
	case strings.HasPrefix(clean, Mount+"/"):
		return strings.TrimPrefix(clean, Mount+"/"), nil
	case !path.IsAbs(clean) && fs.ValidPath(clean):
		return clean, nil
	}
	return "", r.refuse(fmt.Errorf("%s: the path leaves the repository", strings.TrimPrefix(clean, "/")))
}

// stat reads a file's kind; a path that is not there is no refusal.
func (r *FS) stat(p string) (fs.FileInfo, error) {
	name, err := r.name(p)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(r.files, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, r.refuse(fmt.Errorf("%s: %w", name, err))
	}
	return info, err
}

// Exists says whether the path is there.
func (r *FS) Exists(p string) bool {
	_, err := r.stat(p)
	return err == nil
}

// IsDir says whether the path is a directory.
func (r *FS) IsDir(p string) bool {
	info, err := r.stat(p)
	return err == nil && info.IsDir()
}

// ReadFile reads a file. A kustomization is looked through before kustomize
// sees it: what it may not load is refused.
func (r *FS) ReadFile(p string) ([]byte, error) {
	name, err := r.name(p)
	if err != nil {
		return nil, err
	}
	if r.reads++; r.reads > maxReads {
		return nil, r.refuse(fmt.Errorf("%s: the overlay reads more than %d files, bases named again counted again", name, maxReads))
	}
	content, err := fs.ReadFile(r.files, name)
	if r.bytes += int64(len(content)); r.bytes > maxBytes {
		return nil, r.refuse(fmt.Errorf("%s: the overlay reads more than %d bytes, bases named again counted again", name, maxBytes))
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !r.IsDir(p) {
			return nil, r.refuse(fmt.Errorf("%s: %w", name, err))
		}
		return nil, err
	}
	if err := yamledit.CheckAliases(content); err != nil {
		return nil, r.refuse(fmt.Errorf("%s: %w", name, err))
	}
	if err := r.lookThrough(name, content); err != nil {
		return nil, r.refuse(err)
	}
	return content, nil
}

// lookThrough refuses what would load what is not in the repository.
func (r *FS) lookThrough(name string, content []byte) error {
	if slices.Contains(KustomizationNames, path.Base(name)) {
		if err := r.kustomization(name, content); err != nil {
			return err
		}
	}
	if r.plugins[name] {
		return refuseRemotePlugin(name, content)
	}
	return nil
}

// kustomization looks through a kustomization, and notes its plug-ins for when
// they are read.
func (r *FS) kustomization(name string, content []byte) error {
	plugins, err := refuseRemote(name, content)
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		if !path.IsAbs(plugin) {
			plugin = path.Join(Mount, path.Dir(name), plugin)
		}
		file, err := r.name(plugin)
		if err != nil {
			return err
		}
		if r.IsDir(plugin) {
			return fmt.Errorf("%s: plug-ins in the directory %s are not rendered here, name their files", name, file)
		}
		r.plugins[file] = true
	}
	return nil
}

// ReadDir lists a directory.
func (r *FS) ReadDir(p string) ([]string, error) {
	name, err := r.name(p)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(r.files, name)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// CleanedAbs splits a path into its directory and its file.
func (r *FS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	name, err := r.name(p)
	if err != nil {
		return "", "", err
	}
	info, err := r.stat(p)
	if err != nil {
		return "", "", err
	}
	abs := path.Join(Mount, name)
	if info.IsDir() {
		return filesys.ConfirmedDir(abs), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(abs)), path.Base(abs), nil
}

// Glob finds paths by a pattern.
func (r *FS) Glob(pattern string) ([]string, error) {
	name, err := r.name(pattern)
	if err != nil {
		return nil, err
	}
	matches, err := fs.Glob(r.files, name)
	for i := range matches {
		matches[i] = path.Join(Mount, matches[i])
	}
	return matches, err
}

// Walk walks a directory.
func (r *FS) Walk(p string, walk filepath.WalkFunc) error {
	name, err := r.name(p)
	if err != nil {
		return err
	}
	return fs.WalkDir(r.files, name, func(p string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if entry != nil && err == nil {
			info, err = entry.Info()
		}
		return walk(path.Join(Mount, p), info, err)
	})
}

// Open opens a file for reading.
func (r *FS) Open(p string) (filesys.File, error) {
	content, err := r.ReadFile(p)
	if err != nil {
		return nil, err
	}
	info, err := r.stat(p)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(content), info: info}, nil
}

// Create is refused.
func (*FS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (*FS) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (*FS) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (*FS) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (*FS) WriteFile(string, []byte) error { return errReadOnly }

// openFile is a file as kustomize opens it.
type openFile struct {
	*bytes.Reader
	info fs.FileInfo
}

// Close does nothing: the content is in memory.
func (*openFile) Close() error { return nil }

// Write is refused.
func (*openFile) Write([]byte) (int, error) { return 0, errReadOnly }

// Stat is the file's kind.
func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
