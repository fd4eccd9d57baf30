package pipeline

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/controllers/internal/turn"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// observe fills the snapshot of what the decision rests on.
func (r *Reconciler) observe(ctx context.Context, s *scope) environments.PipelineSnapshot {
	snapshot := environments.PipelineSnapshot{
		Name: s.pipeline.Name, Suspended: s.pipeline.Spec.Suspend,
		Releases: convert.Releases(s.releases), Promotions: convert.Promotions(s.promotions),
		HistoryLimit: int(s.pipeline.Spec.ReleaseHistoryLimit),
		Request:      r.request(s),
	}
	source := s.pipeline.Spec.Source
	tip, err := r.tip(ctx, s)
	if err != nil {
		s.troubles = append(s.troubles, trouble.Git("read Git", err, source, v1alpha1.Environment{}))
	}
	for i, overlay := range s.pipeline.Spec.Environments {
		e := environments.EnvironmentSnapshot{Environment: convert.Environment(s.pipeline.Spec, i), Hold: s.hold(overlay.Name)}
		if err == nil {
			images, failed := overlays.Current(tip.Files, overlay.Path, s.repositories())
			if failed != nil {
				s.troubles = append(s.troubles, trouble.Git("read the overlay", &trouble.OverlayError{Err: failed}, source, overlay))
			}
			e.GitKnown, e.Images = failed == nil, images
		}
		snapshot.Environments = append(snapshot.Environments, e)
	}
	return snapshot
}

// tip reads the branch, and what its history says was rejected: without that
// nothing is decided.
func (r *Reconciler) tip(ctx context.Context, s *scope) (overlays.Tip, error) {
	source := s.pipeline.Spec.Source
	tip, err := r.Git.Tip(ctx, s.pipeline.Namespace, source, s.interval())
	if err != nil {
		return tip, err
	}
	commits, err := r.Git.Rollbacks(ctx, s.pipeline.Namespace, source, tip)
	if err != nil {
		return tip, err
	}
	s.rejections = rejections(s.pipeline, commits)
	return tip, nil
}

// rejections are what the rollbacks of this Pipeline say, the newest first: their
// trailers carry a quarantine over the loss of the cluster's objects.
func rejections(pipeline *v1alpha1.Pipeline, commits []overlays.Commit) []environments.Rejection {
	var found []environments.Rejection
	for _, commit := range commits {
		if rejection, mine := rejection(pipeline, commit.Trailers); mine {
			found = append(found, rejection)
		}
	}
	return found
}

// Bounds of what is taken over from trailers, which anybody may write who may
// commit, in bytes: a Release's status has to hold it.
const (
	maxName   = 63
	maxReason = 500
)

// rejection reads the trailers of one rollback; false where it is of another
// Pipeline.
func rejection(pipeline *v1alpha1.Pipeline, trailers []overlays.Trailer) (found environments.Rejection, mine bool) {
	for _, trailer := range trailers {
		switch trailer.Key {
		case environments.TrailerPipeline:
			mine = trailer.Value == pipeline.Namespace+"/"+pipeline.Name
		case environments.TrailerEnvironment:
			found.Environment = status.OneLine(trailer.Value, maxName)
		case environments.TrailerReason:
			found.Reason = status.OneLine(trailer.Value, maxReason)
		case environments.TrailerRejected:
			found.Images = append(found.Images, trailer.Value)
		}
	}
	return found, mine
}

// known are the Releases with all that is known of their rejection.
func (s *scope) known() []environments.Release {
	return environments.Withhold(convert.Releases(s.releases), s.rejections, convert.Environments(s.pipeline.Spec))
}

// requarantine records the rejections that only Git remembers: the Release was
// made anew after its object was lost.
func (r *Reconciler) requarantine(ctx context.Context, s *scope) error {
	for i, known := range s.known() {
		release := &s.releases[i]
		if release.Status.Quarantined != nil || known.Quarantine == nil || release.ResourceVersion == "" {
			continue
		}
		next := release.DeepCopy()
		next.Status.Quarantined = convert.Quarantine(known.Quarantine, s.now)
		if _, err := status.Patch(ctx, r.Client, release, next); err != nil {
			return err
		}
		*release = *next
	}
	return nil
}

func (s *scope) repositories() []string {
	names := make([]string, 0, len(s.pipeline.Spec.Images))
	for _, image := range s.pipeline.Spec.Images {
		names = append(names, image.Repository)
	}
	return names
}

// hold of an Environment as it was reported last.
func (s *scope) hold(environment string) environments.Hold {
	for _, e := range s.pipeline.Status.Environments {
		if e.Name == environment {
			return environments.Hold{Reason: e.Held, Release: e.HeldRelease, Accepted: e.Accepted}
		}
	}
	return environments.Hold{}
}

// request is what a person asked for and has not got yet.
func (r *Reconciler) request(s *scope) environments.Request {
	annotations := s.pipeline.Annotations
	value := annotations[v1alpha1.AnnotationRequest]
	if value == s.pipeline.Status.HandledRequest {
		return environments.Request{}
	}
	request, err := environments.ParseRequest(value)
	if err != nil {
		s.troubles = append(s.troubles, &trouble.Trouble{Reason: "RequestRefused", Message: err.Error(), Stalled: true})
		return environments.Request{}
	}
	request.By, request.Reason = annotations[v1alpha1.AnnotationBy], annotations[v1alpha1.AnnotationReason]
	return request
}

// act carries the plan's one mutation out.
func (r *Reconciler) act(ctx context.Context, s *scope, plan environments.PipelinePlan) error {
	if plan.Create != nil {
		return r.promote(ctx, s, plan)
	}
	for _, name := range plan.Delete {
		release := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: s.pipeline.Namespace, Name: name}}
		if err := r.Client.Delete(ctx, release); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete Release %s/%s, which is needed nowhere: %w", release.Namespace, name, err)
		}
		s.releases = slices.DeleteFunc(s.releases, func(r v1alpha1.Release) bool { return r.Name == name })
	}
	return nil
}

// promote creates a Promotion. One that is there already was created by a
// reconcile that did not live to see it.
func (r *Reconciler) promote(ctx context.Context, s *scope, plan environments.PipelinePlan) error {
	p := plan.Create
	at := slices.IndexFunc(s.releases, func(r v1alpha1.Release) bool { return r.Name == p.Release })
	if at < 0 {
		return fmt.Errorf("create Promotion %s: Release %s is gone", p.Name, p.Release)
	}
	object := &v1alpha1.Promotion{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.pipeline.Namespace, Name: p.Name,
			Labels: map[string]string{
				v1alpha1.LabelPipeline: s.pipeline.Name, v1alpha1.LabelEnvironment: p.Environment, v1alpha1.LabelRelease: p.Release,
			},
		},
		Spec: v1alpha1.PromotionSpec{
			Pipeline: s.pipeline.Name, Environment: p.Environment, Release: p.Release,
			Attempt: p.Attempt, Number: p.Number, RequestedBy: p.RequestedBy, Request: p.Request,
		},
	}
	if err := controllerutil.SetControllerReference(&s.releases[at], object, r.Client.Scheme()); err != nil {
		return fmt.Errorf("own Promotion %s: %w", object.Name, err)
	}
	err := r.Client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create Promotion %s/%s: %w", object.Namespace, object.Name, err)
	}
	status.Event(r.Recorder, s.pipeline, status.Normal, "Promoting", fmt.Sprintf("Promotion %s: %s", p.Name, plan.Reason))
	s.promotions = append(s.promotions, *object)
	s.again = turn.Soon
	return nil
}
