package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/serin-gitops/serin/overlays"
)

// Pushing is a push that has begun: the server said where its branches are, and
// waits for what is to become of one. So a commit upon the newest tip takes two
// requests, and not a third to learn of the tip.
type Pushing struct {
	Advertisement
	remote  *Remote
	session transport.ReceivePackSession
}

// BeginPush asks the server for its branches, to push to one of them. The caller
// closes what it is given.
func (r *Remote) BeginPush(ctx context.Context) (*Pushing, error) {
	r.begin(OperationList)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	endpoint := r.copyEndpoint()
	session, err := r.client.NewReceivePackSession(endpoint, r.auth)
	if err != nil {
		return nil, r.wrap("push to", err)
	}
	a, err := r.ask(ctx, "push to", session, endpoint)
	p := &Pushing{Advertisement: a, remote: r, session: session}
	if err != nil {
		p.Close()
		return nil, err
	}
	if p.caps == nil {
		p.caps = capability.NewList()
	}
	return p, nil
}

// Close ends the exchange, whatever became of it.
func (p *Pushing) Close() { _ = p.session.Close() }

// Push moves a branch from old to fresh; pack is nil for a removal. Errors:
// overlays.ErrMoved where the branch is not at old, overlays.ErrProtected
// where the host refuses.
func (p *Pushing) Push(ctx context.Context, branch string, old, fresh plumbing.Hash, pack []byte) error {
	switch p.Branches[branch] {
	case fresh:
		// An earlier try arrived though its answer did not, or it is gone already.
		return nil
	case old:
	default:
		return p.remote.Moved(branch, "another commit came first")
	}
	p.remote.begin(OperationPush)
	ctx, cancel := context.WithTimeout(ctx, p.remote.timeout)
	defer cancel()
	request, hook := receiveRequest(p.caps)
	request.Commands = []*packp.Command{{Name: plumbing.ReferenceName(headsPrefix + branch), Old: old, New: fresh}}
	if pack != nil {
		request.Packfile = io.NopCloser(bytes.NewReader(pack))
	}
	report, err := p.session.ReceivePack(ctx, request)
	return p.remote.pushed(branch, report, hook.String(), err)
}

// receiveRequest asks for a report, and for what hooks say.
func receiveRequest(caps *capability.List) (*packp.ReferenceUpdateRequest, *limitedBuffer) {
	request := packp.NewReferenceUpdateRequestFromCapabilities(caps)
	hook := &limitedBuffer{limit: 1024}
	for _, c := range []capability.Capability{capability.Sideband64k, capability.DeleteRefs} {
		if caps.Supports(c) {
			// Set fails for capabilities that need an argument, and these need none.
			_ = request.Capabilities.Set(c)
		}
	}
	request.Progress = hook
	return request, hook
}

// racing are the words by which servers say that the branch was not where the
// Push expected it (git, JGit, Gitea and GitLab run git itself).
var racing = []string{
	"non-fast-forward", "fetch first", "stale info", "failed to update ref", "failed to lock", "cannot lock ref",
	"unable to lock", "already exists", "incorrect old value", "reference has changed", "lock failure",
}

// pushed reads the server's report.
func (r *Remote) pushed(branch string, report *packp.ReportStatus, hook string, err error) error {
	if report == nil || report.UnpackStatus != "ok" {
		if err == nil {
			return nil
		}
		return r.wrap("push to", err)
	}
	for _, status := range report.CommandStatuses {
		if status.Status == "ok" {
			continue
		}
		reason := strings.TrimSuffix(strings.TrimSpace(status.Status+"; "+hook), ";")
		lower := strings.ToLower(status.Status)
		for _, words := range racing {
			if strings.Contains(lower, words) {
				return r.Moved(branch, reason)
			}
		}
		return &remoteError{kind: overlays.ErrProtected, text: r.scrub(fmt.Sprintf("push to %s: %v: branch %s: %s", r.Name, overlays.ErrProtected, branch, reason))}
	}
	if err != nil {
		return r.wrap("push to", err)
	}
	return nil
}

// Moved is the error of a lost race.
func (r *Remote) Moved(branch, reason string) error {
	return &remoteError{kind: overlays.ErrMoved, reason: reason, text: r.scrub(fmt.Sprintf("push to %s: %v: branch %s: %s", r.Name, overlays.ErrMoved, branch, reason))}
}

// Refused is what a lost race turns out to be when nobody else won it: moved is
// the error of Moved.
func (r *Remote) Refused(branch string, moved error) error {
	reason := moved.Error()
	var known *remoteError
	if errors.As(moved, &known) && known.reason != "" {
		reason = known.reason
	}
	return &remoteError{text: r.scrub(fmt.Sprintf("push to %s: the host does not change branch %s, which is where it was expected: %s", r.Name, branch, reason))}
}
