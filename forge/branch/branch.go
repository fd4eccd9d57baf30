// Package branch is the forge.Host of Git servers without pull requests. The
// proposal branch is the pull request: its head commit's message is title and
// body, merging it approves, deleting it rejects.
package branch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/overlays"
)

// Options of a Host; Target is required.
type Options struct {
	// Target is the branch that pull requests named by ID alone go to.
	Target string
	// Author is who a merge commit is from.
	Author overlays.Identity
	// Edit computes a proposal's edit, for a target that has moved on since:
	// the merge commit is that edit applied to the target's tip. Without it
	// only what fast-forwards can be merged, and the proposal has to be
	// written anew upon the target first.
	Edit func(ctx context.Context, proposal forge.PullRequest) (overlays.Edit, error)
	// Signer signs merge commits; nil leaves them unsigned.
	Signer overlays.Signer
	// Now is the clock for merge commits; nil means time.Now.
	Now func() time.Time
}

// Host implements forge.Host over a repository's branches. A branch that is
// gone is forge.ErrNotFound: whether it was merged or rejected is seen in what
// the target holds.
type Host struct {
	repository overlays.Repository
	options    Options
}

var _ forge.Host = (*Host)(nil)

// New makes a Host over repository.
func New(repository overlays.Repository, options Options) *Host {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Host{repository: repository, options: options}
}

// Find returns the proposal that the branch source is.
func (h *Host) Find(ctx context.Context, source, target string) (forge.PullRequest, error) {
	tip, err := h.repository.Tip(ctx, source)
	if err != nil {
		return forge.PullRequest{}, hostError("branch "+source, err)
	}
	base, err := h.repository.Tip(ctx, target)
	if err != nil {
		return forge.PullRequest{}, hostError("branch "+target, err)
	}
	return proposal(source, target, tip, base), nil
}

// proposal describes a branch. One that the target's tip is, or has merged last,
// was merged by somebody who left the branch behind.
func proposal(source, target string, tip, base overlays.Tip) forge.PullRequest {
	title, body := splitMessage(tip)
	pr := forge.PullRequest{
		ID:      source,
		Draft:   forge.Draft{Source: source, Target: target, Title: title, Body: body},
		State:   forge.Open,
		Head:    string(tip.Revision),
		Updated: tip.When,
	}
	if base.Revision == tip.Revision || slices.Contains(base.Parents, tip.Revision) {
		pr.State, pr.MergedAs, pr.ClosedBy = forge.Merged, string(base.Revision), base.Author.Name
		pr.Updated = base.When
	}
	return pr
}

// splitMessage is a commit message's subject and body, the trailers left out.
func splitMessage(tip overlays.Tip) (title, body string) {
	title, body, _ = strings.Cut(strings.TrimSpace(tip.Message), "\n")
	body = strings.TrimSpace(body)
	if len(tip.Trailers) == 0 {
		return title, body
	}
	if cut := strings.LastIndex("\n"+body, "\n\n"); cut >= 0 {
		return title, strings.TrimSpace(body[:cut])
	}
	return title, ""
}

// Get returns the proposal to Options.Target that the branch id is.
func (h *Host) Get(ctx context.Context, id string) (forge.PullRequest, error) {
	return h.Find(ctx, id, h.options.Target)
}

// Create returns the proposal that the branch draft.Source is; title and body
// are what its commit says.
func (h *Host) Create(ctx context.Context, draft forge.Draft) (forge.PullRequest, error) {
	return h.Find(ctx, draft.Source, draft.Target)
}

// Update returns the proposal as its branch is now.
func (h *Host) Update(ctx context.Context, id string, _ forge.Draft) (forge.PullRequest, error) {
	return h.Get(ctx, id)
}

// Close deletes the branch. There is no place for the comment.
func (h *Host) Close(ctx context.Context, id, _ string) error {
	tip, err := h.repository.Tip(ctx, id)
	if errors.Is(err, overlays.ErrNoBranch) {
		return nil
	}
	if err != nil {
		return hostError("branch "+id, err)
	}
	if err := h.repository.DeleteBranch(ctx, id, tip.Revision); err != nil {
		return hostError("delete branch "+id, err)
	}
	return nil
}

// Merge merges the branch into Options.Target and deletes it.
func (h *Host) Merge(ctx context.Context, id, head string) (forge.PullRequest, error) {
	pr, err := h.Get(ctx, id)
	if err != nil {
		return pr, err
	}
	if pr.Head != head {
		return pr, fmt.Errorf("branch %s is at %s, not at %s any more: %w", id, pr.Head, head, forge.ErrNotMergeable)
	}
	if pr.State == forge.Open {
		if pr, err = h.merge(ctx, pr); err != nil {
			return pr, err
		}
	}
	if err := h.repository.DeleteBranch(ctx, id, overlays.Revision(head)); err != nil && !errors.Is(err, overlays.ErrMoved) {
		return pr, hostError("delete merged branch "+id, err)
	}
	return pr, nil
}

func (h *Host) merge(ctx context.Context, pr forge.PullRequest) (forge.PullRequest, error) {
	edit := fastForwardOnly
	if h.options.Edit != nil {
		var err error
		if edit, err = h.options.Edit(ctx, pr); err != nil {
			return pr, hostError("edit of branch "+pr.Source, err)
		}
	}
	written, err := h.repository.Merge(ctx, pr.Target, pr.Source, overlays.Revision(pr.Head), overlays.Change{
		Branch:  pr.Target,
		Subject: fmt.Sprintf("Merge %s: %s", pr.Source, pr.Title),
		Author:  h.options.Author,
		When:    h.options.Now(),
		Edit:    edit,
		Signer:  h.options.Signer,
	})
	if err != nil {
		return pr, mergeError(pr, err)
	}
	pr.State, pr.MergedAs, pr.ClosedBy = forge.Merged, string(written.Revision), h.options.Author.Name
	return pr, nil
}

// fastForwardOnly is the edit of a proposal whose own edit nobody gave: it is
// asked for only where the target has moved on.
func fastForwardOnly(fs.FS) ([]overlays.File, error) {
	return nil, errors.New("the target has moved on: write the proposal anew upon it")
}

// mergeError tells refusals of the server, which are errors of their own, from
// a merge that does not work out.
func mergeError(pr forge.PullRequest, err error) error {
	what := fmt.Sprintf("merge %s into %s", pr.Source, pr.Target)
	switch {
	case errors.Is(err, overlays.ErrUnauthorized), errors.Is(err, overlays.ErrNoBranch),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return hostError(what, err)
	default:
		return fmt.Errorf("%s: %w: %w", what, forge.ErrNotMergeable, err)
	}
}

// hostError puts a repository's error in the words of a Host.
func hostError(what string, err error) error {
	switch {
	case errors.Is(err, overlays.ErrNoBranch):
		return fmt.Errorf("%s: %w: %w", what, forge.ErrNotFound, err)
	case errors.Is(err, overlays.ErrUnauthorized):
		return fmt.Errorf("%s: %w: %w", what, forge.ErrUnauthorized, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
