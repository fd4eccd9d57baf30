package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/serin-gitops/serin/embedded/gitserver/internal/graph"
)

// packed is a pack on disk.
type packed struct {
	id plumbing.Hash
	// bytes of the pack, written at a time.
	bytes   int64
	written time.Time
	// objects in the order of their place in it, which is at offsets.
	objects []plumbing.Hash
	offsets []int64
}

// path is the file of a pack with an extension.
func (p packed) path(dir, extension string) string {
	return filepath.Join(dir, "objects", "pack", "pack-"+p.id.String()+extension)
}

// readPack reads the index of a pack.
func readPack(dir string, id plumbing.Hash) (pack packed, err error) {
	pack.id = id
	info, err := os.Stat(pack.path(dir, ".pack"))
	if err != nil {
		return pack, err
	}
	pack.bytes, pack.written = info.Size(), info.ModTime()
	file, err := os.Open(pack.path(dir, ".idx"))
	if err != nil {
		return pack, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(file).Decode(index); err != nil {
		return pack, fmt.Errorf("index of pack %s: %w", id, err)
	}
	entries, err := index.EntriesByOffset()
	if err != nil {
		return pack, fmt.Errorf("index of pack %s: %w", id, err)
	}
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return pack, entries.Close()
		}
		if err != nil {
			return pack, fmt.Errorf("index of pack %s: %w", id, err)
		}
		pack.objects = append(pack.objects, entry.Hash)
		pack.offsets = append(pack.offsets, int64(entry.Offset)) //nolint:gosec // within the file
	}
}

// dead is how many bytes of a pack are of objects that are not live.
func (p packed) dead(live graph.Set) (total int64) {
	for i, hash := range p.objects {
		end := p.bytes
		if i+1 < len(p.offsets) {
			end = p.offsets[i+1]
		}
		if !live.Has(hash) {
			total += end - p.offsets[i]
		}
	}
	return total
}

// readPacks reads the indexes of all packs.
func readPacks(dir string, store *filesystem.Storage) ([]packed, error) {
	ids, err := store.ObjectPacks()
	if err != nil {
		return nil, fmt.Errorf("packs: %w", err)
	}
	plumbing.HashesSort(ids)
	packs := make([]packed, 0, len(ids))
	for _, id := range ids {
		pack, err := readPack(dir, id)
		if err != nil {
			return nil, err
		}
		packs = append(packs, pack)
	}
	return packs, nil
}

// findPacks looks for packs that may be removed: those in which nothing is live,
// or only what is elsewhere too. One that is dead for the greater part is
// written anew first, without what is not live.
func (g *garbage) findPacks(ctx context.Context, store *filesystem.Storage) error {
	packs, err := readPacks(g.dir, store)
	if err != nil {
		return err
	}
	held := graph.Set{}
	var dirty []packed
	for _, pack := range packs {
		if pack.dead(g.live) > 0 && pack.written.Before(g.before) {
			dirty = append(dirty, pack)
			continue
		}
		held.Add(pack.objects)
	}
	for _, pack := range dirty {
		needed := slices.DeleteFunc(slices.Clone(pack.objects), func(hash plumbing.Hash) bool {
			return !g.live.Has(hash) || held.Has(hash) || isLoose(store, hash)
		})
		removable := len(needed) == 0
		if !removable && pack.dead(g.live) > pack.bytes/2 {
			if removable, err = g.rewrite(ctx, store, pack, needed); err != nil {
				return fmt.Errorf("write pack %s anew: %w", pack.id, err)
			}
		}
		if !removable {
			needed = pack.objects
		} else {
			g.packs = append(g.packs, pack)
		}
		held.Add(needed)
	}
	return nil
}

func isLoose(store *filesystem.Storage, hash plumbing.Hash) bool {
	_, err := store.LooseObjectTime(hash)
	return err == nil
}

// rewrite keeps the objects in a pack of their own, unless that is no smaller:
// it has no deltas. It says whether it did.
func (g *garbage) rewrite(ctx context.Context, store *filesystem.Storage, pack packed, objects []plumbing.Hash) (bool, error) {
	spool, err := os.CreateTemp(g.dir, draftPush+"*")
	if err != nil {
		return false, err
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	if err := graph.WritePack(ctx, spool, store, objects); err != nil {
		return false, err
	}
	size, err := spool.Seek(0, io.SeekCurrent)
	if err != nil || size >= pack.bytes {
		return false, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return true, keepPack(g.dir, openStore(g.dir), spool)
}

// removePack removes a pack unless it alone has what is live now.
func (g *garbage) removePack(ctx context.Context, store *filesystem.Storage, pack packed) (bool, error) {
	others, err := readPacks(g.dir, store)
	if err != nil {
		return false, err
	}
	held := graph.Set{}
	for _, other := range others {
		if other.id != pack.id {
			held.Add(other.objects)
		}
	}
	for _, hash := range pack.objects {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if g.live.Has(hash) && !held.Has(hash) && !isLoose(store, hash) {
			return false, nil
		}
	}
	if err := store.DeleteOldObjectPackAndIndex(pack.id, time.Time{}); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("pack %s: %w", pack.id, err)
	}
	return true, nil
}
