package graph

import (
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // Git's pack format is defined with it.
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// WritePack writes the objects as a pack (gitformat-pack(5), version 2) without
// deltas, one object in memory at a time; go-git's encoder holds all of them.
func WritePack(ctx context.Context, w io.Writer, store storer.EncodedObjectStorer, list []plumbing.Hash) error {
	sum := sha1.New() //nolint:gosec // as above
	out := io.MultiWriter(w, sum)
	header := binary.BigEndian.AppendUint32([]byte("PACK"), 2)
	header = binary.BigEndian.AppendUint32(header, uint32(len(list))) //nolint:gosec // counted objects in memory
	if _, err := out.Write(header); err != nil {
		return err
	}
	deflate := zlib.NewWriter(out)
	for _, hash := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeEntry(out, deflate, store, hash); err != nil {
			return fmt.Errorf("object %s: %w", hash, err)
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

func writeEntry(out io.Writer, deflate *zlib.Writer, store storer.EncodedObjectStorer, hash plumbing.Hash) error {
	entry, err := store.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return err
	}
	if _, err := out.Write(entryHeader(entry.Type(), entry.Size())); err != nil {
		return err
	}
	content, err := entry.Reader()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	deflate.Reset(out)
	if _, err := io.Copy(deflate, content); err != nil {
		return err
	}
	return deflate.Close()
}

// entryHeader is the type in three bits and the size in four, then seven bits a
// byte, the lowest first.
func entryHeader(kind plumbing.ObjectType, size int64) []byte {
	b := byte(kind)<<4 | byte(size&0x0f)
	size >>= 4
	var header []byte
	for size > 0 {
		header = append(header, b|0x80)
		b = byte(size & 0x7f)
		size >>= 7
	}
	return append(header, b)
}
