package gitserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Names of what is being written, each followed by random digits.
const (
	draftRepository = ".new-"
	draftReference  = "tmp-ref-"
	draftPush       = "tmp-push-"
)

const (
	// cacheBytes bounds the objects that one request keeps in memory.
	cacheBytes = 8 << 20
	// largeObject is the size from which an object is streamed from disk.
	largeObject = 1 << 20
)

// openStore opens a repository for one request. A storage of go-git is not safe
// for concurrent use, and sees no pack that came after its first look-up.
func openStore(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(
		osfs.New(dir),
		cache.NewObjectLRU(cacheBytes),
		filesystem.Options{LargeObjectThreshold: largeObject})
}

// initRepository makes an empty bare repository whose HEAD is branch. It is
// made beside its place and renamed, so that half of one is never seen.
func initRepository(dir string, branch plumbing.ReferenceName) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return fmt.Errorf("repository %s: %w", dir, err)
	}
	draft, err := os.MkdirTemp(parent, draftRepository+"*")
	if err != nil {
		return fmt.Errorf("repository %s: %w", dir, err)
	}
	defer func() { _ = os.RemoveAll(draft) }()
	store := openStore(draft)
	if err := store.Init(); err != nil {
		return fmt.Errorf("repository %s: %w", dir, err)
	}
	if err := store.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, branch)); err != nil {
		return fmt.Errorf("repository %s: HEAD: %w", dir, err)
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
	if err := os.WriteFile(filepath.Join(draft, "config"), []byte(config), 0o640); err != nil {
		return fmt.Errorf("repository %s: config: %w", dir, err)
	}
	if err := os.Rename(draft, dir); err != nil {
		return fmt.Errorf("repository %s: %w", dir, err)
	}
	return nil
}

// sweep removes what a process that was killed left half written below root.
func sweep(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		switch {
		case entry.IsDir() && strings.HasPrefix(name, draftRepository):
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case entry.IsDir() && (name == "objects" || name == "refs"):
			return fs.SkipDir
		case !entry.IsDir() && (strings.HasPrefix(name, draftReference) || strings.HasPrefix(name, draftPush)):
			return os.Remove(path)
		}
		return nil
	})
}

// references lists branches and tags with what they are at.
func references(store *filesystem.Storage) (map[plumbing.ReferenceName]plumbing.Hash, error) {
	all := map[plumbing.ReferenceName]plumbing.Hash{}
	iter, err := store.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("references: %w", err)
	}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && !ref.Hash().IsZero() {
			all[ref.Name()] = ref.Hash()
		}
		return nil
	})
	return all, err
}

// writeReference moves name to hash by renaming a whole file into place: after
// kill -9 the reference is at the old or at the new commit.
func writeReference(dir string, name plumbing.ReferenceName, content string) error {
	draft, err := os.CreateTemp(dir, draftReference+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	if _, err := io.WriteString(draft, content+"\n"); err != nil {
		return errors.Join(err, draft.Close())
	}
	if err := draft.Sync(); err != nil {
		return errors.Join(err, draft.Close())
	}
	if err := draft.Close(); err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.FromSlash(name.String()))
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	return os.Rename(draft.Name(), target)
}

// removeReference deletes name and the directories that it leaves empty, which
// would be in the way of a branch of that name.
func removeReference(store *filesystem.Storage, dir string, name plumbing.ReferenceName) error {
	switch err := store.RemoveReference(name); {
	case errors.Is(err, fs.ErrNotExist): // packed alone, or gone already
	case err != nil:
		return err
	}
	for parent := filepath.Dir(name.String()); strings.Count(filepath.ToSlash(parent), "/") > 1; parent = filepath.Dir(parent) {
		if !removedEmpty(filepath.Join(dir, parent)) {
			break
		}
	}
	return nil
}

// removedEmpty removes a directory unless there is something in it.
func removedEmpty(dir string) bool { return os.Remove(dir) == nil }

// advertise lists the references and what the service can do
// (gitprotocol-pack(5), "Reference Discovery").
func advertise(w io.Writer, store *filesystem.Storage, service string) error {
	list := packp.NewAdvRefs()
	list.Prefix = [][]byte{[]byte("# service=" + service), pktline.Flush}
	for _, c := range capabilities(service) {
		if err := list.Capabilities.Set(c); err != nil {
			return fmt.Errorf("capability %s: %w", c, err)
		}
	}
	if err := list.Capabilities.Set(capability.Agent, "serin"); err != nil {
		return fmt.Errorf("capability agent: %w", err)
	}
	refs, err := references(store)
	if err != nil {
		return err
	}
	for name, hash := range refs {
		list.References[name.String()] = hash
		if tag, err := object.GetTag(store, hash); err == nil {
			list.Peeled[name.String()] = tag.Target
		}
	}
	head, err := store.Reference(plumbing.HEAD)
	if err == nil && head.Type() == plumbing.SymbolicReference {
		if hash, found := refs[head.Target()]; found && service == transport.UploadPackServiceName {
			list.Head = &hash
			if err := list.AddReference(head); err != nil {
				return fmt.Errorf("HEAD: %w", err)
			}
		}
	}
	return list.Encode(w)
}

// capabilities of a service (gitprotocol-capabilities(5)).
func capabilities(service string) []capability.Capability {
	if service == transport.ReceivePackServiceName {
		return []capability.Capability{
			capability.ReportStatus, capability.DeleteRefs, capability.OFSDelta,
			capability.Atomic, capability.Quiet, "no-thin",
		}
	}
	return []capability.Capability{
		capability.MultiACKDetailed, capability.NoDone, capability.Sideband, capability.Sideband64k,
		capability.OFSDelta, capability.NoProgress, capability.Shallow, capability.Filter,
		capability.AllowTipSHA1InWant, capability.AllowReachableSHA1InWant,
	}
}
