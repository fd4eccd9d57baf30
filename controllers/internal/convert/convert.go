// Package convert turns custom resources into the domain's words and back.
package convert

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

// Image reads a reference.
func Image(ref v1alpha1.ImageReference) environments.Image {
	return environments.Image{Repository: ref.Repository, Tag: ref.Tag, Digest: environments.Digest(ref.Digest)}
}

// Images reads references.
func Images(refs []v1alpha1.ImageReference) []environments.Image {
	images := make([]environments.Image, 0, len(refs))
	for _, ref := range refs {
		images = append(images, Image(ref))
	}
	return images
}

// Reference writes an image.
func Reference(image environments.Image) v1alpha1.ImageReference {
	return v1alpha1.ImageReference{Repository: image.Repository, Tag: image.Tag, Digest: string(image.Digest)}
}

// References writes images.
func References(images []environments.Image) []v1alpha1.ImageReference {
	if len(images) == 0 {
		return nil
	}
	refs := make([]v1alpha1.ImageReference, 0, len(images))
	for _, image := range images {
		refs = append(refs, Reference(image))
	}
	return refs
}

// Release reads a Release.
func Release(r v1alpha1.Release) environments.Release {
	release := environments.Release{Name: r.Name, Sequence: r.Spec.Sequence}
	for _, image := range r.Spec.Images {
		release.Images = append(release.Images, Image(image.ImageReference))
	}
	if q := r.Status.Quarantined; q != nil {
		release.Quarantine = &environments.Quarantine{Environment: q.Environment, AlsoIn: q.AlsoIn, Images: Images(q.Images), Reason: q.Reason}
	}
	return release
}

// Quarantine writes a Release's rejection.
func Quarantine(q *environments.Quarantine, at time.Time) *v1alpha1.Quarantine {
	return &v1alpha1.Quarantine{
		Environment: q.Environment, AlsoIn: q.AlsoIn, Reason: q.Reason, Images: References(q.Images), At: metav1.Time{Time: at},
	}
}

// Releases reads Releases.
func Releases(list []v1alpha1.Release) []environments.Release {
	releases := make([]environments.Release, 0, len(list))
	for _, r := range list {
		releases = append(releases, Release(r))
	}
	return releases
}

// Environment reads the Environment at an index of a Pipeline's list.
func Environment(spec v1alpha1.PipelineSpec, index int) environments.Environment {
	e := spec.Environments[index]
	environment := environments.Environment{
		Name:  e.Name,
		Entry: environments.Entry(e.Promotion), Return: environments.Return(e.Rollback),
		Deadline: e.Deadline.Duration, Approval: e.Gates.Approval,
	}
	switch {
	case e.After != nil:
		environment.After = *e.After
	case index > 0:
		environment.After = []string{spec.Environments[index-1].Name}
	}
	if e.Gates.Soak != nil {
		environment.Soak = e.Gates.Soak.Duration
	}
	for _, window := range e.Gates.Freeze {
		environment.Freeze = append(environment.Freeze, environments.FreezeWindow{
			Start: window.Start, Duration: window.Duration.Duration, TimeZone: window.TimeZone, Reason: window.Reason,
		})
	}
	return environment
}

// Environments reads all of a Pipeline's.
func Environments(spec v1alpha1.PipelineSpec) []environments.Environment {
	all := make([]environments.Environment, 0, len(spec.Environments))
	for i := range spec.Environments {
		all = append(all, Environment(spec, i))
	}
	return all
}

// Promotion reads a Promotion.
func Promotion(p v1alpha1.Promotion) environments.Promotion {
	status := p.Status
	promotion := environments.Promotion{
		Name: p.Name, Environment: p.Spec.Environment, Release: p.Spec.Release,
		Attempt: p.Spec.Attempt, Number: p.Spec.Number,
		RequestedBy: p.Spec.RequestedBy, Request: p.Spec.Request,
		Created: p.CreationTimestamp.Time,
		Phase:   environments.Phase(status.Phase), Message: status.Message,
		Previous: Images(status.Previous), ApprovedBy: status.ApprovedBy,
		Commit: status.Commit, RollbackCommit: status.RollbackCommit,
		Written: Time(status.Written), Clock: status.Clock.Duration, ClockSince: Time(status.ClockSince),
		Succeeded: Time(status.Succeeded), Completed: Time(status.Completed),
		Failure: status.Failure, Evidence: status.Evidence, Handled: status.HandledRequest,
	}
	if pr := status.PullRequest; pr != nil {
		promotion.Proposal = &environments.Proposal{
			ID: pr.ID, URL: pr.URL, Branch: pr.Branch, Head: pr.Head, Base: pr.Base, ClosedBy: pr.ClosedBy,
			State: environments.ProposalState(pr.State), Restores: pr.Purpose == PurposeRollback,
		}
	}
	return promotion
}

// Purposes of a pull request.
const (
	PurposePromotion = "Promotion"
	PurposeRollback  = "Rollback"
)

// Promotions reads Promotions.
func Promotions(list []v1alpha1.Promotion) []environments.Promotion {
	promotions := make([]environments.Promotion, 0, len(list))
	for _, p := range list {
		promotions = append(promotions, Promotion(p))
	}
	return promotions
}

// maxEvidence bounds the lines of evidence that a status keeps.
const maxEvidence = 32

// Record writes a Promotion's record to its status; what the domain does not
// know (conditions, workloads) stays.
func Record(record environments.Promotion, status *v1alpha1.PromotionStatus) {
	status.Phase, status.Message = v1alpha1.PromotionPhase(record.Phase), record.Message
	status.Previous = References(record.Previous)
	status.ApprovedBy = record.ApprovedBy
	status.Commit, status.RollbackCommit = record.Commit, record.RollbackCommit
	status.Written, status.ClockSince = stamp(record.Written), stamp(record.ClockSince)
	status.Clock = metav1.Duration{Duration: record.Clock.Round(time.Second)}
	status.Succeeded, status.Completed = stamp(record.Succeeded), stamp(record.Completed)
	status.Failure, status.HandledRequest = record.Failure, record.Handled
	status.Evidence = record.Evidence[:min(len(record.Evidence), maxEvidence)]
	status.PullRequest = nil
	if p := record.Proposal; p != nil {
		purpose := PurposePromotion
		if p.Restores {
			purpose = PurposeRollback
		}
		status.PullRequest = &v1alpha1.PullRequestStatus{
			ID: p.ID, URL: p.URL, Branch: p.Branch, Head: p.Head, Base: p.Base, ClosedBy: p.ClosedBy,
			State: string(p.State), Purpose: purpose,
		}
	}
}

// Time reads a time that may be missing.
func Time(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	// What the API server stores has whole seconds.
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

// Policy reads an image's policy.
func Policy(p v1alpha1.ImagePolicy) registry.Policy {
	policy := registry.Policy{Kind: registry.Kind(p.Type), Range: p.Range, Tag: p.Tag, Extract: p.Extract}
	if p.Descending {
		policy.Order = registry.Descending
	}
	if p.Include != "" {
		policy.Include = []string{p.Include}
	}
	if p.Exclude != "" {
		policy.Exclude = []string{p.Exclude}
	}
	return policy
}

// Platform reads os/architecture[/variant]; nil where empty.
func Platform(text string) *registry.Platform {
	if text == "" {
		return nil
	}
	parts := append(strings.Split(text, "/"), "", "")
	return &registry.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}
