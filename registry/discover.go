package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// DefaultMaxLookups is how many images NewestBuild looks up where a Query does
// not say.
const DefaultMaxLookups = 256

// parallelLookups bounds what one Query asks of a registry at a time.
const parallelLookups = 4

// Query asks which image of a repository a pipeline should carry.
type Query struct {
	Repository  string
	Policy      Policy
	Platform    *Platform
	Credentials Credentials
	// Current is what was chosen last, the zero value before the first choice.
	Current Artifact
	// MaxLookups bounds the images that NewestBuild looks up; 0 is
	// DefaultMaxLookups.
	MaxLookups int
}

// Discover asks the catalog what the policy needs to know, chooses, and pins
// the choice to its digest. On an error nothing was decided: keep what runs.
func Discover(ctx context.Context, catalog Catalog, q Query) (Choice, error) {
	if err := q.Policy.Validate(); err != nil {
		return Choice{}, fmt.Errorf("image %s: %w", q.Repository, err)
	}
	if q.Policy.Kind == Digest {
		return q.discoverTag(ctx, catalog)
	}
	tags, err := catalog.Tags(ctx, q.Repository, q.Credentials)
	switch {
	case errors.Is(err, ErrPartial):
		choice, invalid := Select(q.Policy, q.Current, Listing{Partial: true})
		choice.Reason += ": " + err.Error()
		return choice, invalid
	case err != nil:
		return Choice{}, fmt.Errorf("image %s: list tags: %w", q.Repository, err)
	}
	if q.Policy.Kind == NewestBuild {
		return q.discoverBuild(ctx, catalog, tags)
	}
	choice, err := Select(q.Policy, q.Current, Listing{Artifacts: named(q.Repository, tags)})
	if err != nil || choice.Keep {
		return choice, err
	}
	return q.pin(ctx, catalog, choice)
}

// pin resolves the chosen tag.
func (q Query) pin(ctx context.Context, catalog Catalog, choice Choice) (Choice, error) {
	found, err := catalog.Resolve(ctx, q.Repository, choice.Artifact.Tag, q.Platform, q.Credentials)
	if err != nil {
		return Choice{}, fmt.Errorf("image %s: resolve tag %s: %w", q.Repository, choice.Artifact.Tag, err)
	}
	found.Tag = choice.Artifact.Tag
	choice.Artifact = found
	return choice, nil
}

// discoverTag follows one tag: no list is needed, and one lookup is enough.
func (q Query) discoverTag(ctx context.Context, catalog Catalog) (Choice, error) {
	found, err := catalog.Resolve(ctx, q.Repository, q.Policy.Tag, q.Platform, q.Credentials)
	if errors.Is(err, ErrNotFound) {
		return Select(q.Policy, q.Current, Listing{})
	}
	if err != nil {
		return Choice{}, fmt.Errorf("image %s: resolve tag %s: %w", q.Repository, q.Policy.Tag, err)
	}
	found.Tag = q.Policy.Tag
	return Select(q.Policy, q.Current, Listing{Artifacts: []Artifact{found}})
}

// discoverBuild looks up every matching image, so it refuses where those are
// too many: to look at some only would choose at random.
func (q Query) discoverBuild(ctx context.Context, catalog Catalog, tags []string) (Choice, error) {
	matching, err := q.Policy.Filter(tags)
	if err != nil {
		return Choice{}, fmt.Errorf("image %s: %w", q.Repository, err)
	}
	limit := q.MaxLookups
	if limit <= 0 {
		limit = DefaultMaxLookups
	}
	if len(matching) > limit {
		return Choice{}, fmt.Errorf("image %s: policy NewestBuild matches %d tags, and at most %d are looked up; narrow its include expressions",
			q.Repository, len(matching), limit)
	}
	artifacts, err := q.lookUp(ctx, catalog, matching)
	if err != nil {
		return Choice{}, err
	}
	if q.Current.Digest != "" && !dated(q.Current) {
		// The tag may have moved on since; by digest the old build still tells.
		built, err := catalog.Resolve(ctx, q.Repository, string(q.Current.Digest), q.Platform, q.Credentials)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Choice{}, fmt.Errorf("image %s: resolve the current %s: %w", q.Repository, q.Current.Digest.Short(), err)
		}
		if err == nil {
			q.Current.Created = built.Created
		}
	}
	return Select(q.Policy, q.Current, Listing{Artifacts: artifacts})
}

// lookUp resolves tags, a few at a time; one that is gone meanwhile, or lacks
// the platform, is left out.
func (q Query) lookUp(ctx context.Context, catalog Catalog, tags []string) ([]Artifact, error) {
	found := make([]*Artifact, len(tags))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLookups)
	for i, tag := range tags {
		group.Go(func() error {
			artifact, err := catalog.Resolve(ctx, q.Repository, tag, q.Platform, q.Credentials)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("image %s: resolve tag %s: %w", q.Repository, tag, err)
			}
			artifact.Tag = tag
			found[i] = &artifact
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(a *Artifact) bool { return a == nil })
	artifacts := make([]Artifact, len(found))
	for i, a := range found {
		artifacts[i] = *a
	}
	return artifacts, nil
}

// named makes candidates of which only the tag is known.
func named(repository string, tags []string) []Artifact {
	artifacts := make([]Artifact, len(tags))
	for i, tag := range tags {
		artifacts[i].Repository, artifacts[i].Tag = repository, tag
	}
	return artifacts
}
