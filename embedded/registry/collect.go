package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Defaults of Options, and what is not an option.
const (
	// DefaultMaxBytes bounds what is kept in all.
	DefaultMaxBytes = 4 << 30
	// DefaultKeepUntagged is long: what Git names by its digest, to go back to
	// it, may have lost its tag.
	DefaultKeepUntagged = 30 * 24 * time.Hour
	// keepBlob is how long a blob waits for the manifest that names it.
	keepBlob = 24 * time.Hour
)

// Collection says what Collect removed.
type Collection struct {
	Manifests, Blobs int
	// Bytes of both.
	Bytes int64
}

// Usage is what a Registry keeps.
type Usage struct {
	// Bytes of blobs and manifests, and of uploads that are not finished.
	Bytes int64
	// MaxBytes is the limit of Bytes.
	MaxBytes int64
}

// Usage says how much is kept.
func (r *Registry) Usage() Usage {
	return Usage{Bytes: r.used.Load(), MaxBytes: r.options.MaxBytes}
}

// ErrBusy says that somebody pushes: collect again later.
var ErrBusy = errors.New("registry: a push is under way")

// Collect removes manifests that have had no tag, and no index or subject that
// is kept, for Options.KeepUntagged, and then the blobs that no manifest names
// and that are older than a day. Pulls go on meanwhile; while somebody pushes
// nothing is done, with ErrBusy.
func (r *Registry) Collect(now time.Time) (Collection, error) {
	if !r.collecting.TryLock() {
		return Collection{}, ErrBusy
	}
	defer r.collecting.Unlock()
	done := Collection{}
	kept, err := r.manifests.list()
	if err != nil {
		return done, err
	}
	live := reachable(kept, now.Add(-r.options.KeepUntagged))
	for _, one := range kept {
		if live.manifests[one.key()] {
			continue
		}
		before := sizeOfFile(r.manifests.path(one.repository, one.reference))
		if err := r.drop(one.repository, one.reference); err != nil {
			return done, err
		}
		done.Manifests++
		done.Bytes += before
	}
	return done, r.sweepBlobs(now.Add(-keepBlob), live.blobs, &done)
}

// drop removes a manifest from memory and disk.
func (r *Registry) drop(repository, reference string) error {
	target := url.URL{Path: base + repository + "/manifests/" + reference}
	request, err := http.NewRequest(http.MethodDelete, target.String(), nil)
	if err != nil {
		return err
	}
	// One that is not in memory is gone there already.
	replay(r.inner, request)
	return r.manifests.remove(repository, reference)
}

// sweepBlobs removes blobs last asked for before a time that are not live.
func (r *Registry) sweepBlobs(before time.Time, live map[string]bool, done *Collection) error {
	return eachBlob(r.blobs, func(hash v1.Hash, info fs.FileInfo) error {
		if live[hash.String()] || info.ModTime().After(before) {
			return nil
		}
		if err := os.Remove(filepath.Join(r.blobs, hash.Algorithm, hash.Hex)); err != nil {
			return fmt.Errorf("registry: remove blob %s: %w", hash, err)
		}
		done.Blobs++
		done.Bytes += info.Size()
		r.used.Add(-info.Size())
		return nil
	})
}

// eachBlob calls do for every blob of the folder.
func eachBlob(dir string, do func(v1.Hash, fs.FileInfo) error) error {
	entries, err := os.ReadDir(filepath.Join(dir, "sha256"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("registry: list blobs: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("registry: blob %s: %w", entry.Name(), err)
		}
		if err := do(v1.Hash{Algorithm: "sha256", Hex: entry.Name()}, info); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf adds up the blobs.
func sizeOf(dir string) (total int64, err error) {
	err = eachBlob(dir, func(_ v1.Hash, info fs.FileInfo) error {
		total += info.Size()
		return nil
	})
	return total, err
}

// wanted notes that somebody who pushes has asked whether a blob is here, and
// so counts on it: it stays for another day.
func (r *Registry) wanted(where place) {
	if hash, err := v1.NewHash(where.name); err == nil && blobExists(r.blobs, hash) {
		now := time.Now()
		// A blob that cannot be touched is at worst pushed again.
		_ = os.Chtimes(filepath.Join(r.blobs, hash.Algorithm, hash.Hex), now, now)
	}
}

// kept is a manifest on disk.
type kept struct {
	repository, reference string
	// digest is the content's, untagged when it was last put or lost a tag.
	digest   string
	untagged time.Time
	names    names
}

func (k kept) key() string { return k.repository + "@" + k.reference }

func (k kept) tag() bool { return !strings.Contains(k.reference, ":") }

// names is what a manifest names, as images, indexes and artifacts have it.
type names struct {
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Blobs     []v1.Descriptor `json:"blobs"`
	Manifests []v1.Descriptor `json:"manifests"`
	Subject   *v1.Descriptor  `json:"subject"`
}

// list reads every manifest.
func (s manifestStore) list() ([]kept, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*"))
	if err != nil {
		return nil, fmt.Errorf("registry: look for manifests: %w", err)
	}
	all := make([]kept, 0, len(files))
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), draft) {
			continue
		}
		one, err := readKept(path)
		if err != nil {
			return nil, fmt.Errorf("registry: manifest %s: %w; nothing is collected until the file is mended or removed", path, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func readKept(path string) (kept, error) {
	var one kept
	var err error
	if one.repository, err = url.PathUnescape(filepath.Base(filepath.Dir(path))); err != nil {
		return one, err
	}
	if one.reference, err = url.PathUnescape(filepath.Base(path)); err != nil {
		return one, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return one, err
	}
	one.untagged = info.ModTime()
	content, err := os.ReadFile(path) //nolint:gosec // below the registry's folder
	if err != nil {
		return one, err
	}
	var m stored
	if err := json.Unmarshal(content, &m); err != nil {
		return one, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(m.Manifest))
	if err != nil {
		return one, err
	}
	one.digest = digest.String()
	return one, json.Unmarshal(m.Manifest, &one.names)
}

// live is what is kept: manifests by repository and reference, blobs by digest.
type live struct {
	manifests, blobs map[string]bool
}

// reachable marks from the tags, and from what lost its last one after the
// time, down through indexes, and up to what has a marked subject.
func reachable(all []kept, after time.Time) live {
	found := live{manifests: map[string]bool{}, blobs: map[string]bool{}}
	byDigest := map[string]kept{}
	about := map[string][]kept{}
	for _, one := range all {
		if !one.tag() {
			byDigest[one.key()] = one
		}
		if one.names.Subject != nil {
			key := one.repository + "@" + one.names.Subject.Digest.String()
			about[key] = append(about[key], one)
		}
	}
	var mark func(one kept)
	mark = func(one kept) {
		if found.manifests[one.key()] {
			return
		}
		found.manifests[one.key()] = true
		for _, blob := range one.names.blobs() {
			found.blobs[blob.Digest.String()] = true
		}
		next := about[one.key()]
		if same, known := byDigest[one.repository+"@"+one.digest]; known {
			next = append(next, same)
		}
		for _, below := range one.names.Manifests {
			if child, known := byDigest[one.repository+"@"+below.Digest.String()]; known {
				next = append(next, child)
			}
		}
		for _, other := range next {
			mark(other)
		}
	}
	for _, one := range all {
		if one.tag() || one.untagged.After(after) {
			mark(one)
		}
	}
	return found
}

func (n names) blobs() []v1.Descriptor {
	all := append(append([]v1.Descriptor{}, n.Layers...), n.Blobs...)
	if n.Config != nil {
		all = append(all, *n.Config)
	}
	return all
}
