//go:build scenarios

package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/world"
)

// long bounds a wait that ends by itself much sooner; shared machines are slow.
const long = 8 * time.Minute

// line is one that releases of a scenario travel along.
type line struct {
	*world.Line
	// minor is the last version's. Versions are counted up, so that each is newer than
	// all before, also those of the story.
	minor int
}

// common is the line that the story was told in.
var common = &line{}

// ofStory gives the story's line to a scenario that needs its prod. One that is not
// parallel has the world for itself; of those that are, one at most may ask for it.
func ofStory() *line {
	common.Line = w.Line
	return common
}

// beside begins a line of the scenario's own, which runs beside those of others: it
// may touch nothing that they share.
func beside(t *testing.T, name string) *line {
	t.Helper()
	t.Parallel()
	begun, err := w.Begin(t.Context(), name)
	if begun != nil {
		t.Cleanup(func() {
			if err := begun.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	must(t, err)
	return &line{Line: begun}
}

// push builds and pushes a new version.
func (l *line) push(t *testing.T, variant images.Variant) string {
	t.Helper()
	l.minor++
	version := fmt.Sprintf("v2.%d.0", l.minor)
	t.Logf("push %s (%s)", version, variant)
	// The registry is Serin's own, which may be killed amid it: whoever pushes, pushes
	// again then.
	must(t, world.Eventually(t.Context(), long, "the registry to take "+version, func(ctx context.Context) (string, error) {
		_, err := l.PushImage(ctx, version, variant)
		return "", err
	}))
	return version
}

// rollout waits until an environment's Rollout is as ok says.
func (l *line) rollout(t *testing.T, environment, what string, ok func(v1alpha1.RolloutStatus) bool) *v1alpha1.Rollout {
	t.Helper()
	var found *v1alpha1.Rollout
	must(t, world.Eventually(t.Context(), long, environment+": "+what, func(ctx context.Context) (string, error) {
		var err error
		if found, err = l.Rollout(ctx, environment); err != nil {
			return "", err
		}
		if ok(found.Status) {
			return "", nil
		}
		return fmt.Sprintf("it is %s at %d%%: %s", found.Status.Phase, found.Status.Weight, found.Status.Message), nil
	}))
	return found
}

// overlay is an environment's kustomization at the tip of main.
func (l *line) overlay(t *testing.T, environment string) string {
	t.Helper()
	text, err := l.Git.Read(t.Context(), overlayPath(environment))
	must(t, err)
	return text
}

func overlayPath(environment string) string {
	return "deploy/overlays/" + environment + "/kustomization.yaml"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantContains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s does not say %q: %s", what, word, text)
		}
	}
}
