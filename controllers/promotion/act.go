package promotion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/overlays"
)

// act carries the plan's one action out. Where it fails the record stays as it
// was, and the next reconcile decides anew.
func (r *Reconciler) act(ctx context.Context, s *scope, snapshot promotion.Snapshot, plan *promotion.Plan) *trouble.Trouble {
	var err error
	what := ""
	switch plan.Action {
	case promotion.WriteCommit:
		what, err = "commit", r.commit(ctx, s, plan)
	case promotion.RestoreByCommit:
		what, err = "commit the rollback", r.restore(ctx, s, plan)
		if errors.Is(err, overlays.ErrProtected) {
			// The policy's own way is barred: ask for it by pull request.
			snapshot.Protected = true
			*plan = promotion.DecidePromotion(snapshot, s.now)
			what, err = "propose the rollback", r.propose(ctx, s, plan)
		}
	case promotion.WriteProposal:
		what, err = "propose", r.propose(ctx, s, plan)
	case promotion.RestoreByProposal:
		what, err = "propose the rollback", r.propose(ctx, s, plan)
	case promotion.MergeProposal:
		what, err = "merge", r.merge(ctx, s, snapshot)
		if errors.Is(err, forge.ErrNotMergeable) {
			*plan = promotion.NotMergeable(snapshot, err.Error())
			return nil
		}
	case promotion.CloseProposal:
		what, err = "close the pull request", r.close(ctx, s, plan.Reason)
	case promotion.RemoveProposal:
		if err := r.remove(ctx, s, snapshot, plan.Reason); err != nil {
			// What is left to tidy keeps nobody from watching the Release.
			snapshot.Proposal = nil
			*plan = promotion.DecidePromotion(snapshot, s.now)
			return s.trouble("remove the merged branch", err)
		}
	case promotion.QuarantineRelease:
		what, err = "quarantine Release "+s.release.Name, r.quarantine(ctx, s, plan.Images)
	case promotion.Nothing:
	}
	if err == nil {
		return nil
	}
	plan.Record = s.record
	if errors.Is(err, errImagesMoved) {
		// What is remembered of Git is old.
		r.Git.Written(s.pipeline.Spec.Source)
		return nil
	}
	return s.trouble(what, err)
}

// errImagesMoved: between observing and writing Git got other images.
var errImagesMoved = errors.New("the overlay got other images meanwhile")

// edit is the change of an overlay, checked by rendering before and after.
type edit struct {
	dir string
	// expect are the images that the overlay must still have: what a person put
	// there meanwhile is looked at before it is written over.
	expect []environments.Image
	images []environments.Image
	// allowed says whether the Pipeline may use the workloads of a rendering; nil
	// asks nobody: what was promoted may always be taken back.
	allowed func(after overlays.Manifests) error
	// after and diff are what the last application rendered.
	after overlays.Manifests
	diff  string
}

// apply is an overlays.Edit.
func (e *edit) apply(tip fs.FS) ([]overlays.File, error) {
	repositories := make([]string, 0, len(e.expect))
	for _, image := range e.expect {
		repositories = append(repositories, image.Repository)
	}
	has, err := overlays.Current(tip, e.dir, repositories)
	if err != nil {
		return nil, &trouble.OverlayError{Err: err}
	}
	before, err := overlays.Render(tip, e.dir)
	if err != nil {
		return nil, &trouble.OverlayError{Err: err}
	}
	files, err := overlays.SetImages(tip, e.dir, e.images)
	if err != nil {
		return nil, &trouble.OverlayError{Err: err}
	}
	if len(files) == 0 {
		e.after, e.diff = before, ""
		return nil, nil
	}
	if environments.ContentKey(has) != environments.ContentKey(e.expect) {
		return nil, errImagesMoved
	}
	after, err := overlays.Render(overlays.With(tip, files), e.dir)
	if err != nil {
		return nil, &trouble.OverlayError{Err: err}
	}
	if err := overlays.Verify(before, after, e.images); err != nil {
		return nil, &trouble.OverlayError{Err: err}
	}
	if e.allowed != nil {
		if err := e.allowed(after); err != nil {
			return nil, err
		}
	}
	e.after, e.diff = after, overlays.Diff(before, after)
	return files, nil
}

// allowed says whether the namespaces of what a rendering changes let the
// Pipeline in: what could not be watched is not written.
func (r *Reconciler) allowed(ctx context.Context, s *scope) func(overlays.Manifests) error {
	return func(after overlays.Manifests) error {
		return r.live().Check(ctx, s.pipeline.Namespace, s.changedWorkloads(after))
	}
}

// change is a commit of this Promotion.
func (r *Reconciler) change(ctx context.Context, s *scope, e *edit, words message) (overlays.Change, error) {
	source := s.pipeline.Spec.Source
	change := overlays.Change{
		Branch:  source.Branch,
		Subject: words.subject, Body: words.body, Trailers: words.trailers,
		Author: author(source), When: s.now, Edit: e.apply,
	}
	key, passphrase, err := r.Git.Secrets.SigningKey(ctx, s.promotion.Namespace, source)
	if err != nil {
		return change, err
	}
	if len(key) > 0 {
		if change.Signer, err = r.Signers.Signer(key, passphrase); err != nil {
			return change, fmt.Errorf("spec.source.signingKeySecretRef %s: %w", source.SigningKeySecretRef.Name, err)
		}
	}
	return change, nil
}

func author(source v1alpha1.Source) overlays.Identity {
	if source.Author != nil {
		return overlays.Identity{Name: source.Author.Name, Email: source.Author.Email}
	}
	return overlays.Identity{Name: "Serin", Email: "serin@serin.dev"}
}

// commit writes the Release's images to the branch.
func (r *Reconciler) commit(ctx context.Context, s *scope, plan *promotion.Plan) error {
	e := &edit{dir: s.overlay.Path, expect: s.record.Previous, images: plan.Images, allowed: r.allowed(ctx, s)}
	written, err := r.write(ctx, s, e, s.promotes(plan.Images))
	if err != nil {
		return err
	}
	plan.Record.Commit = string(written.Revision)
	s.workloads = s.changedWorkloads(e.after)
	return nil
}

// restore writes the images back that were there before.
func (r *Reconciler) restore(ctx context.Context, s *scope, plan *promotion.Plan) error {
	e := &edit{dir: s.overlay.Path, expect: s.present(plan.Images), images: plan.Images}
	written, err := r.write(ctx, s, e, s.rollsBack(plan.Images))
	if err != nil {
		return err
	}
	plan.Record.RollbackCommit = string(written.Revision)
	r.live().Sync(ctx, s.pipeline.Namespace, s.overlay.SyncRef, plan.Record.RollbackCommit)
	return nil
}

// present are the Release's images of the same repositories, which a rollback
// takes away.
func (s *scope) present(restored []environments.Image) []environments.Image {
	var present []environments.Image
	for _, image := range convert.Release(*s.release).Images {
		if _, found := environments.Find(restored, image.Repository); found {
			present = append(present, image)
		}
	}
	return present
}

func (r *Reconciler) write(ctx context.Context, s *scope, e *edit, words message) (overlays.Written, error) {
	repository, _, err := r.Git.Open(ctx, s.promotion.Namespace, s.pipeline.Spec.Source)
	if err != nil {
		return overlays.Written{}, err
	}
	change, err := r.change(ctx, s, e, words)
	if err != nil {
		return overlays.Written{}, err
	}
	written, err := repository.Write(ctx, change)
	if err != nil {
		return written, err
	}
	r.announce(s)
	return written, nil
}

// announce tells those who wait for the branch.
func (r *Reconciler) announce(s *scope) {
	source := s.pipeline.Spec.Source
	r.Git.Written(source)
	r.Syncer.Wake(source.URL, source.Branch)
}

// proposalBranch is the one branch of a Pipeline and Environment. Pipelines of
// one name in several namespaces may share a repository.
func (s *scope) proposalBranch() string {
	return "serin/" + s.pipeline.Namespace + "/" + s.pipeline.Name + "/" + s.overlay.Name
}

// propose writes the branch and opens or renews the pull request.
func (r *Reconciler) propose(ctx context.Context, s *scope, plan *promotion.Plan) error {
	restores := plan.Action == promotion.RestoreByProposal
	e := &edit{dir: s.overlay.Path, expect: s.record.Previous, images: plan.Images, allowed: r.allowed(ctx, s)}
	words := s.promotes(plan.Images)
	if restores {
		e.expect, words, e.allowed = s.present(plan.Images), s.rollsBack(plan.Images), nil
	}
	host, repository, err := r.host(ctx, s)
	if err != nil {
		return err
	}
	change, err := r.change(ctx, s, e, words)
	if err != nil {
		return err
	}
	change.Base, change.Branch = change.Branch, s.proposalBranch()
	written, err := repository.Write(ctx, change)
	if err != nil {
		return err
	}
	if written.Revision == written.Parent {
		// Git has it by now. The branch, where there is one, says something else, and
		// is not to be shown as this.
		return errImagesMoved
	}
	shown, err := host.Create(ctx, forge.Draft{
		Source: change.Branch, Target: change.Base, Title: words.subject, Body: s.page(words, e.diff),
	})
	if err != nil {
		return err
	}
	plan.Record.Proposal = &environments.Proposal{
		ID: shown.ID, URL: shown.URL, Branch: change.Branch, Head: string(written.Revision), Base: string(written.Parent),
		State: environments.ProposalState(shown.State), Restores: restores,
	}
	return nil
}

// merge merges the pull request as it is shown.
func (r *Reconciler) merge(ctx context.Context, s *scope, snapshot promotion.Snapshot) error {
	host, _, err := r.host(ctx, s)
	if err != nil {
		return err
	}
	head := s.record.Proposal.Head
	if snapshot.Proposal != nil {
		head = snapshot.Proposal.Head
	}
	if _, err := host.Merge(ctx, s.record.Proposal.ID, head); err != nil {
		return err
	}
	r.announce(s)
	return nil
}

// close closes the pull request; one that is gone is closed.
func (r *Reconciler) close(ctx context.Context, s *scope, why string) error {
	host, _, err := r.host(ctx, s)
	if err != nil {
		return err
	}
	if err := host.Close(ctx, s.record.Proposal.ID, why); err != nil && !errors.Is(err, forge.ErrNotFound) {
		return err
	}
	return nil
}

// remove removes the branch of a pull request whose change Git has. A branch
// that somebody went on with stays.
func (r *Reconciler) remove(ctx context.Context, s *scope, snapshot promotion.Snapshot, why string) error {
	host, repository, err := r.host(ctx, s)
	if err != nil {
		return err
	}
	if snapshot.Proposal.State == environments.ProposalOpen {
		if err := host.Close(ctx, snapshot.Proposal.ID, why); err != nil && !errors.Is(err, forge.ErrNotFound) {
			return err
		}
	}
	err = repository.DeleteBranch(ctx, snapshot.Proposal.Branch, overlays.Revision(snapshot.Proposal.Head))
	if errors.Is(err, overlays.ErrMoved) {
		return nil
	}
	return err
}

// quarantine records the rejection in the Release, before Git is restored.
// Earlier rejections stay: each bars what comes after its Environment.
func (r *Reconciler) quarantine(ctx context.Context, s *scope, images []environments.Image) error {
	next := s.release.DeepCopy()
	where, why := s.record.Environment, s.record.Failure
	rejected := convert.Release(*s.release).Quarantine.With(where, why, images, s.environments)
	if rejected.Environment == where {
		rejected.Reason = why
	}
	next.Status.Quarantined = convert.Quarantine(rejected, s.now)
	if _, err := status.Patch(ctx, r.Client, s.release, next); err != nil {
		return err
	}
	status.Event(r.Recorder, next, status.Warning, "Quarantined", fmt.Sprintf("rejected in %s: %s", where, why))
	return nil
}
