package gitserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// unpackLimit is the number of objects from which a pack is kept as one file;
// smaller ones become loose objects, as in git, so that a thousand small pushes
// do not leave a thousand indexes to load.
const unpackLimit = 100

// storePack spools a pack to disk, checks it and stores its objects durably. A
// pack that is refused gives a protocolError; a body over its bound gives the
// bound's error.
func storePack(dir string, body io.Reader, maxObject int64) error {
	spool, err := os.CreateTemp(dir, draftPush+"*")
	if err != nil {
		return fmt.Errorf("spool a push: %w", err)
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	size, err := io.Copy(spool, body)
	if err != nil {
		return fmt.Errorf("receive a push: %w", err)
	}
	if size == 0 {
		return nil
	}
	count, err := checkPack(spool, maxObject)
	if err != nil || count == 0 {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	store := openStore(dir)
	if count >= unpackLimit {
		return keepPack(dir, store, spool)
	}
	return unpackLoose(dir, store, spool)
}

// checkPack walks over the pack's entries, so that nothing is stored of one
// that is cut off or that holds an object larger than maxObject bytes.
func checkPack(spool io.ReadSeeker, maxObject int64) (uint32, error) {
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	scanner := packfile.NewScanner(bufio.NewReader(spool))
	_, count, err := scanner.Header()
	if err != nil {
		return 0, badRequest("malformed pack: %v", err)
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return 0, badRequest("malformed pack: %v", err)
		}
		if header.Length > maxObject {
			return 0, badRequest("an object of %d bytes is larger than %d", header.Length, maxObject)
		}
		if _, _, err := scanner.NextObject(io.Discard); err != nil {
			return 0, badRequest("malformed pack: %v", err)
		}
	}
	return count, nil
}

// keepPack stores the pack as it is, with an index.
func keepPack(dir string, store *filesystem.Storage, spool *os.File) error {
	if err := packfile.WritePackfileToObjectStorage(store, spool); err != nil {
		return badRequest("unpack: %v", err)
	}
	var sum [20]byte
	if _, err := spool.Seek(-int64(len(sum)), io.SeekEnd); err != nil {
		return err
	}
	if err := binary.Read(spool, binary.BigEndian, &sum); err != nil {
		return err
	}
	folder := filepath.Join(dir, "objects", "pack")
	name := filepath.Join(folder, "pack-"+plumbing.Hash(sum).String())
	return syncPaths(name+".pack", name+".idx", folder)
}

// looseStorer remembers what it stored. It hides the pack writer of the
// storage, so that objects become loose.
type looseStorer struct {
	storer.EncodedObjectStorer
	stored []plumbing.Hash
}

// SetEncodedObject stores one object.
func (l *looseStorer) SetEncodedObject(o plumbing.EncodedObject) (plumbing.Hash, error) {
	hash, err := l.EncodedObjectStorer.SetEncodedObject(o)
	if err == nil {
		l.stored = append(l.stored, hash)
	}
	return hash, err
}

func unpackLoose(dir string, store *filesystem.Storage, spool *os.File) error {
	loose := &looseStorer{EncodedObjectStorer: store}
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(spool), loose)
	if err != nil {
		return badRequest("unpack: %v", err)
	}
	if _, err := parser.Parse(); err != nil {
		return badRequest("unpack: %v", err)
	}
	var paths []string
	for _, hash := range loose.stored {
		id := hash.String()
		folder := filepath.Join(dir, "objects", id[:2])
		paths = append(paths, filepath.Join(folder, id[2:]), folder)
	}
	return syncPaths(paths...)
}

// syncPaths brings files and directories to disk, before a reference names what
// they hold.
func syncPaths(paths ...string) error {
	done := map[string]bool{}
	for _, path := range paths {
		if done[path] {
			continue
		}
		done[path] = true
		file, err := os.Open(path) //nolint:gosec // below the repository
		if err != nil {
			return fmt.Errorf("sync objects: %w", err)
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("sync objects: %w", err)
		}
	}
	return nil
}
