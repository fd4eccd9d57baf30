package promotion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/controllers/promotion/live"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/overlays"
)

// observe fills the snapshot. What cannot be read is left unknown, and reported
// as trouble; the decision holds what depends on it.
func (r *Reconciler) observe(ctx context.Context, s *scope) (promotion.Snapshot, *trouble.Trouble) {
	snapshot := promotion.Snapshot{
		Environment: s.environment,
		Release:     convert.Release(*s.release),
		Promotion:   s.record,
		Rejected:    environments.RejectedImages(s.record.Environment, s.releases, s.environments),
		Protected:   s.record.Proposal != nil && s.record.Proposal.Restores,
	}
	newer, older := environments.Rivals(s.record, s.rivals)
	if newer != nil {
		snapshot.Newer = newer.Name
	}
	if older != nil {
		snapshot.Older = older.Name
	}
	if s.environment.Name == "" {
		return snapshot, &trouble.Trouble{Reason: "EnvironmentMissing", Stalled: true, Message: fmt.Sprintf(
			"Pipeline %s has no environment %s any more: delete this Promotion, or put the environment back", s.pipeline.Name, s.record.Environment)}
	}
	var found *trouble.Trouble
	snapshot.Request, found = s.request()
	if environments.Refusal(snapshot.Request.Verb, s.record) != "" {
		// It is refused whatever there is to see.
		return snapshot, found
	}
	// The pull request first: were Git read first, a merge in between that
	// deletes its branch would look like a rejection.
	if s.looksAtProposal(snapshot.Newer) {
		proposal, failed := r.proposal(ctx, s)
		snapshot.Proposal, found = proposal, trouble.First(failed, found)
	}
	maxAge := s.interval()
	if s.record.ApprovedBy != "" || snapshot.Request.Verb == environments.Approve {
		// It is about to be merged: what is merged into is to be known.
		maxAge = 0
	}
	if snapshot.Proposal != nil && snapshot.Proposal.State != environments.ProposalOpen {
		maxAge = 0
	}
	if s.record.Phase != environments.Rejected {
		git, failed := r.git(ctx, s, maxAge)
		snapshot.Git, found = git, trouble.First(failed, found)
	}
	if s.running() {
		workloads, failed := r.workloads(ctx, s)
		snapshot.Workloads, found = workloads, trouble.First(failed, found)
		sync := r.live().Sync(ctx, s.pipeline.Namespace, s.overlay.SyncRef, s.record.Commit)
		snapshot.Sync, snapshot.Suspended, snapshot.Patience = sync.Failure, sync.Suspended, s.patience()
	}
	return snapshot, found
}

// trouble classifies an error of this Environment's Git.
func (s *scope) trouble(what string, err error) *trouble.Trouble {
	return trouble.Git(what, err, s.pipeline.Spec.Source, s.overlay)
}

func (s *scope) running() bool {
	switch s.record.Phase {
	case environments.Applying, environments.RollingOut, environments.Soaking:
		return true
	default:
		return false
	}
}

// isAsked says whether a person asked for something that was not handled yet.
func (s *scope) isAsked() bool {
	value := s.promotion.Annotations[v1alpha1.AnnotationRequest]
	return value != "" && value != s.promotion.Status.HandledRequest
}

// request is what a person asked for and has not got yet.
func (s *scope) request() (environments.Request, *trouble.Trouble) {
	annotations := s.promotion.Annotations
	if !s.isAsked() {
		return environments.Request{}, nil
	}
	value := annotations[v1alpha1.AnnotationRequest]
	request, err := environments.ParseRequest(value)
	if err != nil {
		return environments.Request{}, &trouble.Trouble{Reason: requestRefused, Stalled: true, Message: err.Error()}
	}
	request.By, request.Reason = annotations[v1alpha1.AnnotationBy], annotations[v1alpha1.AnnotationReason]
	return request, nil
}

// looksAtProposal says whether the host is to be asked: while a pull request is
// open as far as is known, and after a rejection, as it may be opened again.
func (s *scope) looksAtProposal(newer string) bool {
	if s.record.Proposal == nil || s.record.Phase == environments.Rejected && newer != "" {
		return false
	}
	return s.record.Proposal.State == environments.ProposalOpen || s.record.Phase == environments.Rejected
}

// proposal asks the host for the pull request; one that is gone is closed.
func (r *Reconciler) proposal(ctx context.Context, s *scope) (*environments.Proposal, *trouble.Trouble) {
	host, _, err := r.host(ctx, s)
	if err != nil {
		return nil, s.trouble("read the pull request", err)
	}
	shown := *s.record.Proposal
	found, err := host.Get(ctx, shown.ID)
	switch {
	case errors.Is(err, forge.ErrNotFound):
		shown.State = environments.ProposalClosed
		return &shown, nil
	case err != nil:
		return nil, s.trouble("read the pull request "+shown.ID, err)
	}
	shown.URL, shown.Head, shown.ClosedBy = found.URL, found.Head, found.ClosedBy
	shown.State = environments.ProposalState(found.State)
	return &shown, nil
}

func (r *Reconciler) host(ctx context.Context, s *scope) (forge.Host, overlays.Repository, error) {
	repository, remote, err := r.Git.Open(ctx, s.promotion.Namespace, s.pipeline.Spec.Source)
	if err != nil {
		return nil, nil, err
	}
	host, err := r.Hosts.Host(ctx, s.pipeline.Spec.Source, repository, remote)
	if err != nil {
		return nil, nil, fmt.Errorf("spec.source.forge %s: %w", s.pipeline.Spec.Source.Forge, err)
	}
	return host, repository, nil
}

// git reads the images that the branch has here.
func (r *Reconciler) git(ctx context.Context, s *scope, maxAge time.Duration) (promotion.Git, *trouble.Trouble) {
	tip, err := r.Git.Tip(ctx, s.promotion.Namespace, s.pipeline.Spec.Source, maxAge)
	if err != nil {
		return promotion.Git{}, s.trouble("read Git", err)
	}
	images, err := overlays.Current(tip.Files, s.overlay.Path, repositories(s.release))
	if err != nil {
		return promotion.Git{}, s.trouble("read the overlay", &trouble.OverlayError{Err: err})
	}
	s.tip = &tip
	return promotion.Git{Known: true, Tip: string(tip.Revision), Images: images}, nil
}

// live is the cluster of the workloads.
func (r *Reconciler) live() live.Cluster { return live.Cluster{Client: r.Client, Uncached: r.Uncached} }

// workloads looks at all workloads that the Release changes.
func (r *Reconciler) workloads(ctx context.Context, s *scope) ([]promotion.Workload, *trouble.Trouble) {
	if len(s.workloads) == 0 && s.tip != nil {
		manifests, err := overlays.Render(s.tip.Files, s.overlay.Path)
		if err != nil {
			return nil, s.trouble("render the overlay", &trouble.OverlayError{Err: err})
		}
		s.workloads = s.changedWorkloads(manifests)
	}
	if len(s.workloads) == 0 && s.tip == nil {
		return nil, nil
	}
	if err := r.live().Check(ctx, s.pipeline.Namespace, s.workloads); err != nil {
		return nil, s.trouble("watch the workloads", err)
	}
	found, err := r.live().Workloads(ctx, s.workloads, s.promotion.CreationTimestamp)
	if err != nil {
		return nil, &trouble.Trouble{Reason: "ClusterUnreadable", Message: err.Error(), Err: err}
	}
	return found, nil
}

// repositories of a Release's images.
func repositories(release *v1alpha1.Release) []string {
	names := make([]string, 0, len(release.Spec.Images))
	for _, image := range release.Spec.Images {
		names = append(names, image.Repository)
	}
	return names
}

// changedWorkloads are those of a rendering that use one of the images.
func (s *scope) changedWorkloads(manifests overlays.Manifests) []v1alpha1.PromotedWorkload {
	var changed []v1alpha1.PromotedWorkload
	for _, workload := range manifests.Workloads() {
		if !live.Watched(workload.Kind) {
			continue
		}
		found := v1alpha1.PromotedWorkload{Kind: workload.Kind, Namespace: workload.Namespace, Name: workload.Name}
		if found.Namespace == "" {
			found.Namespace = s.overlay.Namespace
		}
		if found.Namespace == "" {
			found.Namespace = s.pipeline.Namespace
		}
		for _, repository := range repositories(s.release) {
			if image, runs := workload.Runs(repository); runs {
				found.Images = append(found.Images, image.String())
			}
		}
		if len(found.Images) > 0 && len(changed) < maxWorkloads {
			changed = append(changed, found)
		}
	}
	return changed
}

// maxWorkloads bounds the workloads of one Promotion.
const maxWorkloads = 256
