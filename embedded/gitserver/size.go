package gitserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// measureEvery is how long a measured size is trusted, with what was pushed
// since added to it: a repository of many loose objects takes long to walk.
const measureEvery = time.Minute

// size is what a repository takes on disk, in bytes, as of a time.
type size struct {
	bytes int64
	at    time.Time
}

// Usage is what each repository takes on disk, in bytes, as last measured: at
// the start of the server, or before a push.
func (s *Server) Usage() map[string]int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	usage := make(map[string]int64, len(s.sizes))
	for name, one := range s.sizes {
		usage[name] = one.bytes
	}
	return usage
}

// room refuses a push into a full repository, with a protocolError. Pushes that
// run side by side may exceed the limit by one push each.
func (s *Server) room(name string, now time.Time) error {
	s.mutex.Lock()
	known := s.sizes[name]
	s.mutex.Unlock()
	if now.Sub(known.at) >= measureEvery {
		bytes, err := diskUsage(s.path(name))
		if err != nil {
			return fmt.Errorf("repository %s: size: %w", name, err)
		}
		known = size{bytes: bytes, at: now}
		s.mutex.Lock()
		s.sizes[name] = known
		s.mutex.Unlock()
	}
	if limit := s.options.MaxRepositoryBytes; known.bytes >= limit {
		return badRequest("the repository is full: it holds %d of %d bytes; raise git.maxRepositoryBytes, or begin a new repository", known.bytes, limit)
	}
	return nil
}

// grow adds what a push brought.
func (s *Server) grow(name string, bytes int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	known := s.sizes[name]
	known.bytes += bytes
	s.sizes[name] = known
}

// measureAll measures every repository there is.
func (s *Server) measureAll(now time.Time) error {
	return filepath.WalkDir(s.options.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || !strings.HasSuffix(path, ".git") {
			return err
		}
		relative, err := filepath.Rel(s.options.Dir, path)
		if err != nil {
			return err
		}
		bytes, err := diskUsage(path)
		if err != nil {
			return err
		}
		s.sizes[strings.TrimSuffix(filepath.ToSlash(relative), ".git")] = size{bytes: bytes, at: now}
		return fs.SkipDir
	})
}

// diskUsage adds up the files below a directory; what vanishes meanwhile is
// not counted.
func diskUsage(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}

// counted counts what is read.
type counted struct {
	io.Reader
	bytes int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += int64(n)
	return n, err
}
