// Package store keeps Git objects on disk: a cache of one remote for one
// process, bounded, and created anew whenever it is damaged.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

var (
	// ErrMissing says that the store does not have the object.
	ErrMissing = errors.New("the object is not in the store")
	// ErrDamaged says that the store cannot be read; it is to be created anew.
	ErrDamaged = errors.New("the store is damaged")
)

// tipsPrefix are the store's references: commits all of whose trees are there.
const tipsPrefix = "refs/serin/"

// Limits bound one store on disk. Above any of them the store is created anew.
type Limits struct {
	// Bytes on disk; 1 GiB when zero.
	Bytes int64
	// Files on disk; 4,000 when zero.
	Files int
	// Age since it was created; 7 days when zero.
	Age time.Duration
	// Blob is the largest object that is read into memory; 32 MiB when zero.
	Blob int64
}

// OrDefaults puts the defaults in place of zeros.
func (l Limits) OrDefaults() Limits {
	return Limits{
		Bytes: cmp.Or(l.Bytes, 1<<30),
		Files: cmp.Or(l.Files, 4000),
		Age:   cmp.Or(l.Age, 7*24*time.Hour),
		Blob:  cmp.Or(l.Blob, 32<<20),
	}
}

// Store is a bare Git object store on disk, used by one process.
type Store struct {
	dir    string
	limits Limits
	lock   *os.File

	mu      sync.Mutex
	storage *filesystem.Storage
	// complete are the commits all of whose trees are in the store.
	complete map[plumbing.Hash]bool
	// tips are the newest complete commit of each branch.
	tips map[string]plumbing.Hash
	// size in bytes and number of files, as last counted.
	size    int64
	files   int
	created time.Time
}

// Open takes the first free slot below root for a key: a slot that
// another process uses is left to it.
func Open(root, key string, limits Limits) (*Store, error) {
	const slots = 64
	for slot := range slots {
		dir := filepath.Join(root, fmt.Sprintf("%s.%d", key, slot))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("git store: %w", err)
		}
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("git store: %w", err)
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = lock.Close()
			continue
		}
		s := &Store{dir: dir, limits: limits, lock: lock}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.load(); err != nil {
			// Whatever is wrong with a cache, a new one is right.
			err = s.recreate()
			if err != nil {
				return nil, errors.Join(err, lock.Close())
			}
		}
		return s, nil
	}
	return nil, fmt.Errorf("git store: all %d slots of %s are in use by other processes", slots, filepath.Join(root, key))
}

// Close gives the slot back.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lock.Close()
}

// Discard removes the store from the disk and gives its slot back.
func (s *Store) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(os.RemoveAll(s.dir), s.lock.Close()); err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	return nil
}

func (s *Store) git() string { return filepath.Join(s.dir, "git") }

// load reads what is on disk, and clears away what a killed process left.
func (s *Store) load() error {
	for _, pattern := range []string{"incoming-*", "git/objects/pack/tmp_*"} {
		left, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return fmt.Errorf("git store: %w", err)
		}
		for _, file := range left {
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("git store: %w", err)
			}
		}
	}
	s.storage = filesystem.NewStorage(osfs.New(s.git(), osfs.WithBoundOS()), cache.NewObjectLRU(8*cache.MiByte))
	s.complete = map[plumbing.Hash]bool{}
	s.tips = map[string]plumbing.Hash{}
	if err := s.storage.Init(); err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	refs, err := s.storage.IterReferences()
	if err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		escaped, ok := strings.CutPrefix(ref.Name().String(), tipsPrefix)
		if !ok || ref.Type() != plumbing.HashReference {
			return nil
		}
		branch, err := url.PathUnescape(escaped)
		if err != nil {
			return fmt.Errorf("%s: %w", ref.Name(), err)
		}
		if _, err := s.storage.EncodedObject(plumbing.CommitObject, ref.Hash()); err != nil {
			return fmt.Errorf("%s: %w", ref.Name(), err)
		}
		s.complete[ref.Hash()] = true
		s.tips[branch] = ref.Hash()
		return nil
	})
	if err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	info, err := os.Stat(filepath.Join(s.git(), "objects"))
	if err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	s.created = info.ModTime()
	if stamp, err := os.Stat(filepath.Join(s.dir, "created")); err == nil {
		s.created = stamp.ModTime()
	} else if err := os.WriteFile(filepath.Join(s.dir, "created"), nil, 0o600); err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	return s.measure()
}

// measure counts bytes and files.
func (s *Store) measure() error {
	s.size, s.files = 0, 0
	err := filepath.WalkDir(s.git(), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		s.size += info.Size()
		s.files++
		return nil
	})
	if err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	return nil
}

// Reset creates the store anew: it is damaged.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recreate()
}

func (s *Store) recreate() error {
	err := errors.Join(os.RemoveAll(s.git()), os.RemoveAll(filepath.Join(s.dir, "created")))
	if err != nil {
		return fmt.Errorf("git store: re-create: %w", err)
	}
	return s.load()
}

// Tidy creates the store anew when it is too large, holds too many files or is
// too old. To fetch one tip again is cheaper than to repack.
func (s *Store) Tidy(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size <= s.limits.Bytes && s.files <= s.limits.Files && now.Sub(s.created) <= s.limits.Age {
		return nil
	}
	return s.recreate()
}

// Has says whether the commit and all its trees are there.
func (s *Store) Has(commit plumbing.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete[commit]
}

// Known are complete commits to tell a server of, at most 16.
func (s *Store) Known() []plumbing.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[plumbing.Hash]bool{}
	var known []plumbing.Hash
	for _, hash := range s.tips {
		if !seen[hash] && len(known) < 16 {
			seen[hash] = true
			known = append(known, hash)
		}
	}
	plumbing.HashesSort(known)
	return known
}

// Read is an object's content. Errors: ErrMissing, ErrDamaged.
func (s *Store) Read(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, err := s.storage.EncodedObject(kind, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	if object.Size() > s.limits.Blob {
		return nil, fmt.Errorf("%s %s has %d bytes, more than the limit of %d", kind, hash, object.Size(), s.limits.Blob)
	}
	reader, err := object.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	defer func() { _ = reader.Close() }()
	content, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	return content, nil
}

// Missing are those of the objects that are not in the store.
func (s *Store) Missing(hashes []plumbing.Hash) []plumbing.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []plumbing.Hash
	for _, hash := range hashes {
		if s.storage.HasEncodedObject(hash) != nil {
			missing = append(missing, hash)
		}
	}
	return missing
}

// AddPack keeps a pack. It is received into a file first, so that readers do
// not wait for the network.
func (s *Store) AddPack(pack io.Reader) (err error) {
	file, err := os.CreateTemp(s.dir, "incoming-")
	if err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	n, err := io.Copy(file, io.LimitReader(pack, s.limits.Bytes+1))
	if err != nil {
		return fmt.Errorf("receive the pack: %w", err)
	}
	if n > s.limits.Bytes {
		return fmt.Errorf("the repository's newest commit has more than %d bytes, the limit of a store", s.limits.Bytes)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := packfile.UpdateObjectStorage(s.storage, file); err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return fmt.Errorf("read the pack: %w", err)
	}
	s.size += n + n/8
	s.files += 2
	return nil
}

// AddObjects keeps objects that were written here.
func (s *Store) AddObjects(objects []plumbing.EncodedObject) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var to storer.EncodedObjectStorer = s.storage
	for _, object := range objects {
		if _, err := to.SetEncodedObject(object); err != nil {
			return fmt.Errorf("git store: %w", err)
		}
		s.size += object.Size()
		s.files++
	}
	return nil
}

// Keep notes that a branch's tip is complete; also are commits below it.
func (s *Store) Keep(branch string, tip plumbing.Hash, also ...plumbing.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hash := range append(also, tip) {
		s.complete[hash] = true
	}
	s.tips[branch] = tip
	// Escaped, for a branch a/b may come after a branch a, and references are files.
	ref := plumbing.NewHashReference(plumbing.ReferenceName(tipsPrefix+url.PathEscape(branch)), tip)
	if err := s.storage.SetReference(ref); err != nil {
		return fmt.Errorf("git store: %w", err)
	}
	return nil
}

// Prune removes stores below root that no process uses and none has for longer
// than age.
func Prune(root string, age time.Duration, now time.Time) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("git stores: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || now.Sub(info.ModTime()) <= age {
			continue
		}
		dir := filepath.Join(root, entry.Name())
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.RemoveAll(dir)
		}
		if err = errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("git stores: %w", err)
		}
	}
	return nil
}
