package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"k8s.io/apimachinery/pkg/types"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// ThePipeline reads it.
func (l *Line) ThePipeline(ctx context.Context) (*v1alpha1.Pipeline, error) {
	var pipeline v1alpha1.Pipeline
	return &pipeline, l.read.Get(ctx, types.NamespacedName{Namespace: l.name, Name: Pipeline}, &pipeline)
}

// Rollout is the workers' in an environment.
func (l *Line) Rollout(ctx context.Context, environment string) (*v1alpha1.Rollout, error) {
	var rollout v1alpha1.Rollout
	return &rollout, l.read.Get(ctx, types.NamespacedName{Namespace: l.NamespaceOf(environment), Name: Worker}, &rollout)
}

// runs says whether a revision's images are of a tag.
func runs(revision *v1alpha1.Revision, tag string) bool {
	if revision == nil || len(revision.Images) == 0 {
		return false
	}
	for _, image := range revision.Images {
		name, _, _ := strings.Cut(image, "@")
		if !strings.HasSuffix(name, ":"+tag) {
			return false
		}
	}
	return true
}

// WaitHealthy waits until an environment's Rollout is Healthy on a tag.
func (l *Line) WaitHealthy(ctx context.Context, environment, tag string, limit time.Duration) error {
	return Eventually(ctx, limit, fmt.Sprintf("%s to be Healthy on %s", environment, tag), func(ctx context.Context) (string, error) {
		rollout, err := l.Rollout(ctx, environment)
		if err != nil {
			return "", err
		}
		ok := rollout.Status.Phase == v1alpha1.RolloutHealthy && runs(rollout.Status.Stable, tag)
		return missingUnless(ok, "its Rollout is %s on %v: %s", rollout.Status.Phase, rollout.Status.Stable, rollout.Status.Message), nil
	})
}

// Promotion finds the newest one of a tag into an environment; nil where there
// is none yet.
func (l *Line) Promotion(ctx context.Context, environment, tag string) (*v1alpha1.Promotion, error) {
	release, err := l.Release(ctx, tag)
	if err != nil || release == nil {
		return nil, err
	}
	var promotions v1alpha1.PromotionList
	if err := l.read.List(ctx, &promotions, client.InNamespace(l.name)); err != nil {
		return nil, err
	}
	var newest *v1alpha1.Promotion
	for i := range promotions.Items {
		p := &promotions.Items[i]
		if p.Spec.Environment != environment || p.Spec.Release != release.Name {
			continue
		}
		if newest == nil || p.Spec.Attempt > newest.Spec.Attempt {
			newest = p
		}
	}
	return newest, nil
}

// Release finds the one of a tag; nil where there is none yet.
func (l *Line) Release(ctx context.Context, tag string) (*v1alpha1.Release, error) {
	var releases v1alpha1.ReleaseList
	if err := l.read.List(ctx, &releases, client.InNamespace(l.name)); err != nil {
		return nil, err
	}
	for i := range releases.Items {
		for _, image := range releases.Items[i].Spec.Images {
			if image.Tag == tag {
				return &releases.Items[i], nil
			}
		}
	}
	return nil, nil
}

// WaitPhase waits until the promotion of a tag into an environment is in one of
// phases, and returns it. It ends early where the promotion has ended in
// another one.
func (l *Line) WaitPhase(ctx context.Context, environment, tag string, limit time.Duration, phases ...v1alpha1.PromotionPhase) (*v1alpha1.Promotion, error) {
	return l.waitPromotion(ctx, poll, environment, tag, limit, fmt.Sprintf("be %v", phases), func(p *v1alpha1.Promotion) bool {
		return slices.Contains(phases, p.Status.Phase)
	})
}

// WaitCommit waits until the promotion of a tag into an environment names its commit,
// and ends early as WaitPhase does. It asks no server: to ask a Git host over and over
// takes the time of the push that is waited for.
func (l *Line) WaitCommit(ctx context.Context, environment, tag string, limit time.Duration) (string, error) {
	promotion, err := l.waitPromotion(ctx, pollFigure, environment, tag, limit, "name its commit", func(p *v1alpha1.Promotion) bool {
		return p.Status.Commit != ""
	})
	if err != nil {
		return "", err
	}
	return promotion.Status.Commit, nil
}

// waitPromotion looks at the promotion of a tag into an environment until it is as it
// is to be, or has ended otherwise.
func (l *Line) waitPromotion(ctx context.Context, every time.Duration, environment, tag string, limit time.Duration, what string,
	is func(*v1alpha1.Promotion) bool,
) (*v1alpha1.Promotion, error) {
	var found *v1alpha1.Promotion
	var ended error
	err := eventually(ctx, every, limit, fmt.Sprintf("the promotion of %s to %s to %s", tag, environment, what), func(ctx context.Context) (string, error) {
		promotion, err := l.Promotion(ctx, environment, tag)
		if err != nil {
			return "", err
		}
		if promotion == nil {
			return "there is none", nil
		}
		found = promotion
		if is(promotion) {
			return "", nil
		}
		if promotion.Status.Completed != nil {
			ended = fmt.Errorf("the promotion of %s to %s ended as %s: %s", tag, environment, promotion.Status.Phase, promotion.Status.Message)
			return "", nil
		}
		return fmt.Sprintf("it is %s: %s", promotion.Status.Phase, promotion.Status.Message), nil
	})
	if err == nil {
		err = ended
	}
	return found, err
}

// Approve waits for the pull request of a tag into an environment and merges it
// as a person does.
func (l *Line) Approve(ctx context.Context, environment, tag string, limit time.Duration) error {
	promotion, err := l.WaitPhase(ctx, environment, tag, limit, v1alpha1.PromotionAwaitingApproval)
	if err != nil {
		return err
	}
	if promotion.Status.PullRequest == nil {
		return fmt.Errorf("promotion %s awaits approval without a pull request", promotion.Name)
	}
	return l.w.host.merge(ctx, l, promotion)
}
