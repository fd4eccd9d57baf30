package gitserver

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/serin-gitops/serin/embedded/gitserver/internal/graph"
)

// gate decides which references a push may move, and moves them. It is used
// under the repository's lock.
type gate struct {
	options Options
	user    User
	dir     string
	store   *filesystem.Storage
	refs    map[plumbing.ReferenceName]plumbing.Hash
	head    plumbing.ReferenceName
	// protectedBranches are patterns of branches that not everybody may move.
	protectedBranches []string
}

func (s *Server) newGate(call request) (*gate, error) {
	g := &gate{options: s.options, user: call.user, dir: s.path(call.name), protectedBranches: s.protectedPatterns()}
	g.store = openStore(g.dir)
	var err error
	if g.refs, err = references(g.store); err != nil {
		return nil, err
	}
	head, err := g.store.Reference(plumbing.HEAD)
	if err != nil {
		return nil, err
	}
	g.head = head.Target()
	return g, nil
}

// refuse returns why the command is not carried out; empty lets it pass. The
// wording of git's own refusals is kept where clients look for it.
func (g *gate) refuse(ctx context.Context, command *packp.Command) string {
	name := command.Name
	branch, isBranch := strings.CutPrefix(name.String(), "refs/heads/")
	if name.Validate() != nil || (!isBranch && !name.IsTag()) {
		return "not a branch or tag name"
	}
	if now := g.refs[name]; now != command.Old {
		return "failed to update ref: it has moved, fetch first"
	}
	if isBranch && g.protected(branch) {
		return "protected branch hook declined: " + branch + " takes no direct pushes"
	}
	if command.Action() == packp.Delete {
		if command.Old.IsZero() {
			return "no such ref"
		}
		if name == g.head {
			return "refusing to delete the current branch"
		}
		return ""
	}
	if isBranch {
		if _, err := object.GetCommit(g.store, command.New); err != nil {
			return "missing necessary objects: a branch needs a commit"
		}
	}
	if err := g.connected(ctx, command.New); err != nil {
		return "missing necessary objects"
	}
	if command.Action() == packp.Update && (!isBranch || !g.rewritable(branch)) && !g.fastForward(ctx, command) {
		return "non-fast-forward"
	}
	return ""
}

func (g *gate) protected(branch string) bool {
	if g.user.PushProtected {
		return false
	}
	for _, pattern := range g.protectedBranches {
		if matched, err := path.Match(pattern, branch); err != nil || matched {
			return true
		}
	}
	return false
}

// rewritable says whether the branch may leave its history behind.
func (g *gate) rewritable(branch string) bool {
	return slices.ContainsFunc(g.options.RewritePrefixes, func(prefix string) bool {
		return strings.HasPrefix(branch, prefix)
	})
}

// connected checks that all that hash needs is here, trusting what the
// references need already.
func (g *gate) connected(ctx context.Context, hash plumbing.Hash) error {
	var haves []plumbing.Hash
	for _, at := range g.refs {
		if commit, err := graph.Peel(g.store, at); err == nil {
			haves = append(haves, commit)
		}
	}
	_, err := graph.Selection{Wants: []plumbing.Hash{hash}, Haves: haves, Verify: true}.Objects(ctx, g.store)
	return err
}

// fastForward says whether the new commit has the old one in its history. A
// tag never moves forward.
func (g *gate) fastForward(ctx context.Context, command *packp.Command) bool {
	if command.Name.IsTag() {
		return false
	}
	reached, err := graph.Reaches(ctx, g.store, command.New, graph.SetOf([]plumbing.Hash{command.Old}))
	return err == nil && reached
}

// apply moves the reference. The first branch of an empty repository becomes
// HEAD where HEAD's own is not there.
func (g *gate) apply(command *packp.Command) error {
	if command.Action() == packp.Delete {
		if err := removeReference(g.store, g.dir, command.Name); err != nil {
			return err
		}
		delete(g.refs, command.Name)
		return nil
	}
	if err := writeReference(g.dir, command.Name, command.New.String()); err != nil {
		return err
	}
	g.refs[command.Name] = command.New
	if _, found := g.refs[g.head]; !found && command.Name.IsBranch() {
		g.head = command.Name
		return writeReference(g.dir, plumbing.HEAD, "ref: "+command.Name.String())
	}
	return nil
}
