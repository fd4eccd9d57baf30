package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/registry"
)

// shelf is a Catalog of what a test puts on it.
type shelf struct {
	images  []registry.Artifact
	tagsErr error
	getErr  error
	lookups chan string
}

func (s shelf) Tags(context.Context, string, registry.Credentials) ([]string, error) {
	var names []string
	for _, a := range s.images {
		names = append(names, a.Tag)
	}
	return names, s.tagsErr
}

func (s shelf) Resolve(_ context.Context, _, reference string, _ *registry.Platform, _ registry.Credentials) (registry.Artifact, error) {
	s.lookups <- reference
	if s.getErr != nil {
		return registry.Artifact{}, s.getErr
	}
	for _, a := range s.images {
		if a.Tag == reference || string(a.Digest) == reference {
			return a, nil
		}
	}
	return registry.Artifact{}, registry.ErrNotFound
}

func TestDiscover(t *testing.T) {
	images := []registry.Artifact{built("1.0.0", "sha256:1", 1), built("1.2.0", "sha256:3", 2), built("1.1.0", "sha256:2", 3), built("latest", "sha256:2", 3)}
	down := errors.New("down")
	cases := []struct {
		name    string
		query   registry.Query
		tagsErr error
		getErr  error
		want    string // tag@digest
		keep    bool
		lookups int
		err     string // part of it
	}{
		{name: "semver looks up its choice only", query: registry.Query{Policy: registry.Policy{Kind: registry.Semver}}, want: "1.2.0@sha256:3", lookups: 1},
		{name: "semver at rest looks nothing up", query: registry.Query{Policy: registry.Policy{Kind: registry.Semver}, Current: image("1.2.0", "sha256:3")}, want: "1.2.0@sha256:3", keep: true},
		{name: "newest build", query: registry.Query{Policy: registry.Policy{Kind: registry.NewestBuild, Exclude: []string{"latest"}}}, want: "1.1.0@sha256:2", lookups: 3},
		{name: "newest build asks when current was built", query: registry.Query{Policy: registry.Policy{Kind: registry.NewestBuild, Exclude: []string{"latest"}}, Current: image("gone", "sha256:1")}, want: "1.1.0@sha256:2", lookups: 4},
		{name: "newest build of too many", query: registry.Query{Policy: registry.Policy{Kind: registry.NewestBuild}, MaxLookups: 3}, err: "narrow"},
		{name: "digest", query: registry.Query{Policy: registry.Policy{Kind: registry.Digest, Tag: "latest"}}, want: "latest@sha256:2", lookups: 1},
		{name: "digest of a deleted tag", query: registry.Query{Policy: registry.Policy{Kind: registry.Digest, Tag: "main"}, Current: image("main", "sha256:1")}, want: "main@sha256:1", keep: true, lookups: 1},
		{name: "partial list", query: registry.Query{Policy: registry.Policy{Kind: registry.Semver}, Current: image("1.0.0", "sha256:1")}, tagsErr: registry.ErrPartial, want: "1.0.0@sha256:1", keep: true},
		{name: "no list", query: registry.Query{Policy: registry.Policy{Kind: registry.Semver}}, tagsErr: down, err: "list tags"},
		{name: "no lookup", query: registry.Query{Policy: registry.Policy{Kind: registry.NewestBuild}}, getErr: down, err: "resolve tag", lookups: -1},
		{name: "chosen image gone", query: registry.Query{Policy: registry.Policy{Kind: registry.Semver}}, getErr: registry.ErrNotFound, err: "1.2.0", lookups: 1},
		{name: "bad policy", query: registry.Query{Policy: registry.Policy{Kind: "Newest"}}, err: "kind"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.query.Repository = repository
			catalog := shelf{images: images, tagsErr: c.tagsErr, getErr: c.getErr, lookups: make(chan string, 100)}
			got, err := registry.Discover(t.Context(), catalog, c.query)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got error %v, want %q", err, c.err)
			}
			if name := got.Artifact.Tag + "@" + string(got.Artifact.Digest); err == nil && (name != c.want || got.Keep != c.keep) {
				t.Errorf("got %s, keep %v (%s); want %s, keep %v", name, got.Keep, got.Reason, c.want, c.keep)
			}
			if n := len(catalog.lookups); c.lookups >= 0 && n != c.lookups {
				t.Errorf("%d lookups, want %d", n, c.lookups)
			}
		})
	}
}
