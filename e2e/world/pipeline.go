package world

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/types"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// applyPipeline creates the example's Pipeline and waits until what Git has
// runs in every environment.
func (w *World) applyPipeline(ctx context.Context) error {
	if err := w.host.prepare(ctx); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(w.Builder.Root, "examples", "ipfs-kit", "pipeline.yaml"))
	if err != nil {
		return err
	}
	pipeline := &v1alpha1.Pipeline{}
	if err := yaml.UnmarshalStrict(text, pipeline); err != nil {
		return fmt.Errorf("examples/ipfs-kit/pipeline.yaml: %w", err)
	}
	w.host.adapt(pipeline)
	if err := w.Client.Create(ctx, pipeline); err != nil {
		return err
	}
	for _, environment := range Environments {
		if err := w.WaitHealthy(ctx, environment, "v1.0.0", 4*time.Minute); err != nil {
			return err
		}
	}
	// A release that is pushed before these have ended waits for them, and what is
	// measured from its push would be that.
	return Eventually(ctx, 2*time.Minute, "the promotions of v1.0.0 to succeed", func(ctx context.Context) (string, error) {
		var promotions v1alpha1.PromotionList
		if err := w.Client.List(ctx, &promotions, client.InNamespace(Namespace)); err != nil {
			return "", err
		}
		if len(promotions.Items) < len(Environments) {
			return fmt.Sprintf("there are %d", len(promotions.Items)), nil
		}
		for _, p := range promotions.Items {
			if p.Status.Phase != v1alpha1.PromotionSucceeded {
				return fmt.Sprintf("%s is %s: %s", p.Name, p.Status.Phase, p.Status.Message), nil
			}
		}
		return "", nil
	})
}

// ThePipeline reads it.
func (w *World) ThePipeline(ctx context.Context) (*v1alpha1.Pipeline, error) {
	var pipeline v1alpha1.Pipeline
	return &pipeline, w.Client.Get(ctx, types.NamespacedName{Namespace: Namespace, Name: Pipeline}, &pipeline)
}

// Rollout is the workers' in an environment.
func (w *World) Rollout(ctx context.Context, environment string) (*v1alpha1.Rollout, error) {
	var rollout v1alpha1.Rollout
	return &rollout, w.Client.Get(ctx, types.NamespacedName{Namespace: NamespaceOf(environment), Name: Worker}, &rollout)
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
func (w *World) WaitHealthy(ctx context.Context, environment, tag string, limit time.Duration) error {
	return Eventually(ctx, limit, fmt.Sprintf("%s to be Healthy on %s", environment, tag), func(ctx context.Context) (string, error) {
		rollout, err := w.Rollout(ctx, environment)
		if err != nil {
			return "", err
		}
		ok := rollout.Status.Phase == v1alpha1.RolloutHealthy && runs(rollout.Status.Stable, tag)
		return missingUnless(ok, "its Rollout is %s on %v: %s", rollout.Status.Phase, rollout.Status.Stable, rollout.Status.Message), nil
	})
}

// Promotion finds the newest one of a tag into an environment; nil where there
// is none yet.
func (w *World) Promotion(ctx context.Context, environment, tag string) (*v1alpha1.Promotion, error) {
	release, err := w.Release(ctx, tag)
	if err != nil || release == nil {
		return nil, err
	}
	var promotions v1alpha1.PromotionList
	if err := w.Client.List(ctx, &promotions, client.InNamespace(Namespace)); err != nil {
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
func (w *World) Release(ctx context.Context, tag string) (*v1alpha1.Release, error) {
	var releases v1alpha1.ReleaseList
	if err := w.Client.List(ctx, &releases, client.InNamespace(Namespace)); err != nil {
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
func (w *World) WaitPhase(ctx context.Context, environment, tag string, limit time.Duration, phases ...v1alpha1.PromotionPhase) (*v1alpha1.Promotion, error) {
	var found *v1alpha1.Promotion
	var ended error
	err := Eventually(ctx, limit, fmt.Sprintf("the promotion of %s to %s to be %v", tag, environment, phases), func(ctx context.Context) (string, error) {
		promotion, err := w.Promotion(ctx, environment, tag)
		if err != nil {
			return "", err
		}
		if promotion == nil {
			return "there is none", nil
		}
		found = promotion
		for _, phase := range phases {
			if promotion.Status.Phase == phase {
				return "", nil
			}
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
func (w *World) Approve(ctx context.Context, environment, tag string, limit time.Duration) error {
	promotion, err := w.WaitPhase(ctx, environment, tag, limit, v1alpha1.PromotionAwaitingApproval)
	if err != nil {
		return err
	}
	if promotion.Status.PullRequest == nil {
		return fmt.Errorf("promotion %s awaits approval without a pull request", promotion.Name)
	}
	return w.host.merge(ctx, promotion)
}
