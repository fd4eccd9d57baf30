package overlays

import (
	"bytes"
	"io/fs"
	"path"
	"time"
)

// With shows files as they would be after an edit: what changed in place of
// what is there. It is for edits of files that exist; a file that is new can be
// read by its name, and is not listed in its directory.
func With(files fs.FS, changed []File) fs.FS {
	if len(changed) == 0 {
		return files
	}
	edited := map[string][]byte{}
	for _, file := range changed {
		edited[file.Path] = file.Content
	}
	return withEdits{files: files, edited: edited}
}

type withEdits struct {
	files  fs.FS
	edited map[string][]byte
}

// Open opens the edited file where there is one.
func (w withEdits) Open(name string) (fs.File, error) {
	if content, ok := w.edited[name]; ok {
		if content == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return &editedFile{Reader: bytes.NewReader(content), info: editedInfo{path.Base(name), int64(len(content))}}, nil
	}
	return w.files.Open(name)
}

// ReadDir lists a directory as it was before the edit.
func (w withEdits) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(w.files, name) }

// editedFile is an open edited file.
type editedFile struct {
	*bytes.Reader
	info editedInfo
}

func (f *editedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *editedFile) Close() error               { return nil }

// editedInfo describes an edited file.
type editedInfo struct {
	name string
	size int64
}

func (i editedInfo) Name() string     { return i.name }
func (i editedInfo) Size() int64      { return i.size }
func (editedInfo) Mode() fs.FileMode  { return 0o444 }
func (editedInfo) ModTime() time.Time { return time.Time{} }
func (editedInfo) IsDir() bool        { return false }
func (editedInfo) Sys() any           { return nil }
