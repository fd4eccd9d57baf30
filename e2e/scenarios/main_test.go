//go:build scenarios || e2e

package scenarios

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/story"
	"github.com/serin-gitops/serin/e2e/world"
)

// w is the world that all scenarios share.
var w *world.World

// long bounds a wait that ends by itself much sooner; shared machines are slow.
const long = 4 * time.Minute

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run returns the exit code, after what it deferred.
func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if w, err = world.Start(ctx, world.Options{Profile: profile, Progress: os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := w.Git.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// TestStory is the whole main job. It comes before all scenarios, whose versions
// are newer than its own.
func TestStory(t *testing.T) {
	figures, err := story.Tell(t.Context(), w, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := figures.Print(t.Output()); err != nil {
		t.Error(err)
	}
}

// versions are counted up, so that each is newer than all before.
var minor int

func nextVersion() string {
	minor++
	return fmt.Sprintf("v2.%d.0", minor)
}

// push builds and pushes a new version.
func push(t *testing.T, variant images.Variant) string {
	t.Helper()
	version := nextVersion()
	t.Logf("push %s (%s)", version, variant)
	if _, err := w.PushImage(t.Context(), version, variant); err != nil {
		t.Fatal(err)
	}
	return version
}

// toStaging brings a version to staging, Healthy.
func toStaging(t *testing.T, version string) {
	t.Helper()
	must(t, w.WaitHealthy(t.Context(), "dev", version, long))
	must(t, w.Approve(t.Context(), "staging", version, long))
	must(t, w.WaitHealthy(t.Context(), "staging", version, long))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rollout waits until an environment's Rollout is as ok says.
func rollout(t *testing.T, environment, what string, ok func(v1alpha1.RolloutStatus) bool) *v1alpha1.Rollout {
	t.Helper()
	var found *v1alpha1.Rollout
	must(t, world.Eventually(t.Context(), long, environment+": "+what, func(ctx context.Context) (string, error) {
		var err error
		if found, err = w.Rollout(ctx, environment); err != nil {
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
func overlay(t *testing.T, environment string) string {
	t.Helper()
	text, err := w.Git.Read(t.Context(), overlayPath(environment))
	must(t, err)
	return text
}

func overlayPath(environment string) string {
	return "deploy/overlays/" + environment + "/kustomization.yaml"
}

func wantContains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s does not say %q: %s", what, word, text)
		}
	}
}
