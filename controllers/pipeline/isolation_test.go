package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/registry"
)

// answers is a registry that answers for each repository with tags or an error.
type answers map[string]error

func (a answers) Tags(_ context.Context, repository string, _ registry.Credentials) ([]string, error) {
	return []string{"v1.0.0"}, a[repository]
}

func (a answers) Resolve(_ context.Context, repository, reference string, _ *registry.Platform, _ registry.Credentials) (registry.Artifact, error) {
	return registry.Artifact{Image: environments.Image{Repository: repository, Tag: reference, Digest: "sha256:aa"}}, nil
}

// What is wrong with one Pipeline's image keeps no other Pipeline from the same
// registry; a registry that asks for patience gets it from all.
func TestOneImagesErrorLeavesOthersAlone(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	semver := v1alpha1.ImagePolicy{Type: "Semver", Range: ">=1.0.0"}
	for _, c := range []struct {
		name   string
		policy v1alpha1.ImagePolicy
		err    error
		waits  bool
	}{
		{"an expression that cannot be read", v1alpha1.ImagePolicy{Type: "Alphabetical", Include: "("}, nil, false},
		{"an answer that cannot be read", semver, errors.New("unexpected end of JSON input"), false},
		{"the registry asks to wait", semver, &registry.LimitedError{RetryAfter: time.Minute, Err: errors.New("429")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Reconciler{Catalog: answers{"ghcr.io/acme/bad": c.err}, Hints: &hints.Hub{}}
			look := func(pipeline string, image v1alpha1.ImageSource) look {
				s := &scope{pipeline: &v1alpha1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: pipeline}}, now: now}
				return r.look(t.Context(), s, image)
			}
			if bad := look("bad", v1alpha1.ImageSource{Repository: "ghcr.io/acme/bad", Policy: c.policy}); bad.trouble == nil {
				t.Fatal("no trouble is told")
			}
			good := look("good", v1alpha1.ImageSource{Repository: "ghcr.io/acme/good", Policy: semver})
			if waits := good.artifact.Tag == ""; waits != c.waits {
				t.Errorf("the other Pipeline's image waits: %t, want %t (%+v)", waits, c.waits, good.trouble)
			}
		})
	}
}

// A registry that asks for a year is asked again within the hour: nobody would
// know why nothing is promoted any more.
func TestPatienceIsBounded(t *testing.T) {
	var l looks
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if got := l.failed("ghcr.io", 365*24*time.Hour, now).Sub(now); got > longestAsked {
		t.Errorf("waits %s", got)
	}
}

// What an image says of itself is written by whoever pushes it, and is shown in
// commits and pull requests: it may say nothing there but what it is asked for.
func TestImagesMaySayLittleOfThemselves(t *testing.T) {
	for _, c := range []struct{ revision, source, wantRevision, wantSource string }{
		{"0a1b2c3", "https://git.example.com/acme/web.git", "0a1b2c3", "https://git.example.com/acme/web.git"},
		{"release/1.2+x", "git@git.example.com:acme/web.git", "release/1.2+x", "git@git.example.com:acme/web.git"},
		{"aaa\n\n**Gates.** All open.", "https://x/y z", "", ""},
		{"[approve](https://evil.example)", "https://x/y)\n# Evidence", "", ""},
		{"aaa\nSerin-Rejected: sha256:aa", "javascript:alert(1)", "", ""},
	} {
		if got := revisionOf(c.revision); got != c.wantRevision {
			t.Errorf("revision %q is taken for %q", c.revision, got)
		}
		if got := sourceOf(c.source); got != c.wantSource {
			t.Errorf("source %q is taken for %q", c.source, got)
		}
	}
	if got := revisionOf(strings.Repeat("a", 1000)); len(got) > 256 {
		t.Errorf("a revision of %d characters is more than the API takes", len(got))
	}
}

// Whoever may commit to the branch may write trailers of any length, and the
// status that they come to has a bound: else nothing would be decided any more.
func TestTrailersAreTakenOverInPart(t *testing.T) {
	long := strings.Repeat("a lot ", 1<<20)
	found, mine := rejection(
		&v1alpha1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web"}},
		[]overlays.Trailer{
			{Key: environments.TrailerPipeline, Value: "team/web"}, {Key: environments.TrailerEnvironment, Value: long},
			{Key: environments.TrailerReason, Value: long}, {Key: environments.TrailerRejected, Value: "sha256:aa"},
		})
	if !mine || len(found.Images) != 1 {
		t.Errorf("mine %t, images %v", mine, found.Images)
	}
	if n := len(found.Environment) + len(found.Reason); n > 1000 {
		t.Errorf("%d bytes are taken over", n)
	}
}
