package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/serin-gitops/serin/embedded/gitserver/internal/graph"
)

// protocolError says that a client does not speak the protocol, or asks for
// what is not there.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &protocolError{text: fmt.Sprintf(format, args...)}
}

// fetch is one request of upload-pack. Over HTTP each request is whole: the
// server remembers nothing between them.
type fetch struct {
	caps    *capability.List
	wants   []plumbing.Hash
	shallow []plumbing.Hash
	// depth is how many commits deep to go; zero is all.
	depth   int
	noBlobs bool
	noTrees bool
}

// uploadPack answers one request of a fetch (gitprotocol-pack(5), "Packfile
// Negotiation" and "Packfile Data").
func uploadPack(ctx context.Context, w io.Writer, body io.Reader, store *filesystem.Storage) error {
	lines := pktline.NewScanner(body)
	ask, err := parseFetch(lines)
	if err != nil || len(ask.wants) == 0 {
		return err
	}
	for _, want := range ask.wants {
		if err := store.HasEncodedObject(want); err != nil {
			return pktline.NewEncoder(w).Encodef("ERR upload-pack: not our ref %s\n", want)
		}
	}
	choice := graph.Selection{Wants: ask.wants, Shallow: ask.shallow, NoBlobs: ask.noBlobs, NoTrees: ask.noTrees}
	if ask.depth > 0 {
		if choice, err = sendShallow(w, store, ask, choice); err != nil {
			return err
		}
	}
	talk := &negotiation{store: store, ask: ask, out: pktline.NewEncoder(w)}
	ready, err := talk.run(ctx, lines)
	if err != nil || !ready {
		return err
	}
	choice.Haves = talk.common
	return sendPack(ctx, w, store, ask, choice)
}

// sendPack selects the objects and streams them, in the side band where asked.
func sendPack(ctx context.Context, w io.Writer, store *filesystem.Storage, ask fetch, choice graph.Selection) error {
	var band *sideband.Muxer
	switch {
	case ask.caps.Supports(capability.Sideband64k):
		band = sideband.NewMuxer(sideband.Sideband64k, w)
	case ask.caps.Supports(capability.Sideband):
		band = sideband.NewMuxer(sideband.Sideband, w)
	}
	list, err := choice.Objects(ctx, store)
	if band == nil {
		if err != nil {
			return err
		}
		return graph.WritePack(ctx, w, store, list)
	}
	if err == nil {
		err = graph.WritePack(ctx, band, store, list)
	}
	if err != nil {
		_, told := band.WriteChannel(sideband.ErrorMessage, []byte("the server cannot read its repository\n"))
		return errors.Join(err, told)
	}
	return pktline.NewEncoder(w).Flush()
}

// sendShallow tells the client where its history will end.
func sendShallow(w io.Writer, store *filesystem.Storage, ask fetch, choice graph.Selection) (graph.Selection, error) {
	var commits []plumbing.Hash
	for _, want := range ask.wants {
		if commit, err := graph.Peel(store, want); err == nil {
			commits = append(commits, commit)
		}
	}
	cut, inside, err := graph.Boundary(store, commits, ask.depth)
	if err != nil {
		return choice, err
	}
	out := pktline.NewEncoder(w)
	already, ends := graph.SetOf(ask.shallow), graph.SetOf(cut)
	for _, hash := range cut {
		if already.Has(hash) {
			continue
		}
		if err := out.Encodef("shallow %s", hash); err != nil {
			return choice, err
		}
	}
	for _, hash := range ask.shallow {
		if !inside.Has(hash) || ends.Has(hash) {
			continue
		}
		if err := out.Encodef("unshallow %s", hash); err != nil {
			return choice, err
		}
		commit, err := object.GetCommit(store, hash)
		if err != nil {
			return choice, fmt.Errorf("commit %s: %w", hash, err)
		}
		// What was below the old end is now asked for.
		choice.Wants = append(choice.Wants, commit.ParentHashes...)
	}
	choice.Cut = cut
	return choice, out.Flush()
}

// parseFetch reads wants, shallow commits, depth and filter, up to the flush.
func parseFetch(lines *pktline.Scanner) (fetch, error) {
	ask := fetch{caps: capability.NewList()}
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\n"))
		if len(line) == 0 {
			return ask, nil
		}
		word, rest, _ := bytes.Cut(line, []byte(" "))
		if err := ask.parseLine(string(word), rest); err != nil {
			return ask, err
		}
	}
	return ask, lines.Err()
}

func (f *fetch) parseLine(word string, rest []byte) error {
	switch word {
	case "want":
		id, caps, _ := bytes.Cut(rest, []byte(" "))
		if len(f.wants) == 0 {
			if err := f.caps.Decode(caps); err != nil {
				return badRequest("capabilities: %v", err)
			}
		}
		return appendHash(&f.wants, id)
	case "shallow":
		return appendHash(&f.shallow, rest)
	case "deepen":
		depth, err := strconv.Atoi(string(rest))
		if err != nil || depth < 0 {
			return badRequest("deepen %q: write a number of commits", rest)
		}
		f.depth = depth
	case "filter":
		switch string(rest) {
		case "blob:none":
			f.noBlobs = true
		case "tree:0":
			f.noTrees = true
		default:
			return badRequest("filter %q is not supported: use blob:none or tree:0", rest)
		}
	default:
		return badRequest("unexpected %q in a fetch", word)
	}
	return nil
}

func appendHash(list *[]plumbing.Hash, text []byte) error {
	if !plumbing.IsHash(string(text)) {
		return badRequest("%q is not an object id", text)
	}
	*list = append(*list, plumbing.NewHash(string(text)))
	return nil
}
