package gitserver

import (
	"bytes"
	"context"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/serin-gitops/serin/embedded/gitserver/internal/graph"
)

// negotiation finds the commits that both sides have, from the client's haves.
type negotiation struct {
	store  *filesystem.Storage
	ask    fetch
	out    *pktline.Encoder
	common []plumbing.Hash
}

// run reads haves and acknowledges them; it returns true when the pack is to
// follow, false when the client has to ask again with more.
func (n *negotiation) run(ctx context.Context, lines *pktline.Scanner) (bool, error) {
	detailed := n.ask.caps.Supports(capability.MultiACKDetailed)
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\n"))
		word, rest, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "have":
			if err := n.have(rest, detailed); err != nil {
				return false, err
			}
		case "":
			done, err := n.flush(ctx, detailed)
			if err != nil || done {
				return done, err
			}
		case "done":
			if len(n.common) == 0 {
				return true, n.out.Encodef("NAK\n")
			}
			if !detailed {
				return true, nil
			}
			return true, n.out.Encodef("ACK %s\n", n.last())
		default:
			return false, badRequest("unexpected %q among the haves", word)
		}
	}
	return false, lines.Err()
}

func (n *negotiation) last() plumbing.Hash { return n.common[len(n.common)-1] }

// holdsCommit says whether a commit is here; a tag or tree in common does not
// help.
func (n *negotiation) holdsCommit(id plumbing.Hash) bool {
	if n.store.HasEncodedObject(id) != nil {
		return false
	}
	_, err := object.GetCommit(n.store, id)
	return err == nil
}

// have acknowledges a commit that is here as well.
func (n *negotiation) have(id []byte, detailed bool) error {
	var given []plumbing.Hash
	if err := appendHash(&given, id); err != nil {
		return err
	}
	if !n.holdsCommit(given[0]) {
		return nil
	}
	n.common = append(n.common, given[0])
	switch {
	case detailed:
		return n.out.Encodef("ACK %s common\n", given[0])
	case len(n.common) == 1:
		return n.out.Encodef("ACK %s\n", given[0])
	}
	return nil
}

// flush ends a batch of haves. Where every want is a descendant of something
// common, more haves would not make the pack smaller.
func (n *negotiation) flush(ctx context.Context, detailed bool) (bool, error) {
	ready := false
	if detailed && len(n.common) > 0 {
		enough, err := n.enough(ctx)
		if err != nil {
			return false, err
		}
		if ready = enough; ready {
			if err := n.out.Encodef("ACK %s ready\n", n.last()); err != nil {
				return false, err
			}
		}
	}
	if detailed || len(n.common) == 0 {
		if err := n.out.Encodef("NAK\n"); err != nil {
			return false, err
		}
	}
	if ready && n.ask.caps.Supports(capability.NoDone) {
		return true, n.out.Encodef("ACK %s\n", n.last())
	}
	return false, nil
}

// enough says whether every wanted commit reaches a common one.
func (n *negotiation) enough(ctx context.Context) (bool, error) {
	common := graph.SetOf(n.common)
	for _, want := range n.ask.wants {
		start, err := graph.Peel(n.store, want)
		if err != nil {
			return false, nil //nolint:nilerr // a tree or blob reaches no commit
		}
		reached, err := graph.Reaches(ctx, n.store, start, common)
		if err != nil || !reached {
			return false, err
		}
	}
	return true, nil
}
