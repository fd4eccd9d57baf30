//go:build scenarios

package scenarios

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/world"
)

// TestPrometheusStopped: an outage of monitoring freezes a canary; it neither
// goes on nor back, and goes on when monitoring is there again. Lines without a prod
// ask Prometheus nothing.
func TestPrometheusStopped(t *testing.T) {
	t.Parallel()
	l := ofStory()
	ctx := t.Context()
	traffic, err := w.StartTraffic(ctx, "prod", 20, 10*time.Minute)
	must(t, err)
	version := l.push(t, images.Good)
	must(t, l.WaitHealthy(ctx, "dev", version, long))
	must(t, l.Approve(ctx, "staging", version, long))
	must(t, l.Approve(ctx, "prod", version, long))
	l.rollout(t, "prod", "a canary with traffic", func(s v1alpha1.RolloutStatus) bool {
		return s.Phase == v1alpha1.RolloutProgressing && s.Weight > 0
	})
	must(t, w.KillPart(ctx, "prometheus"))
	frozen := l.rollout(t, "prod", "frozen", func(s v1alpha1.RolloutStatus) bool { return s.ClockStopped == "Frozen" })
	clock := frozen.Status.Clock.Duration
	t.Logf("frozen at %d%%: %s", frozen.Status.Weight, frozen.Status.Message)
	// What must not happen is watched for longer than the step would take.
	observed := time.Now()
	must(t, world.Eventually(ctx, long, "25 s of outage", func(ctx context.Context) (string, error) {
		now, err := l.Now().Rollout(ctx, "prod")
		if err != nil {
			return "", err
		}
		if now.Status.Phase != v1alpha1.RolloutProgressing || now.Status.Weight != frozen.Status.Weight {
			return "", fmt.Errorf("it moved while monitoring was away: %s at %d%%: %s", now.Status.Phase, now.Status.Weight, now.Status.Message)
		}
		if passed := now.Status.Clock.Duration - clock; passed > 10*time.Second {
			return "", fmt.Errorf("the step's clock ran on by %s", passed)
		}
		if time.Since(observed) < 25*time.Second {
			return "still watching", nil
		}
		return "", nil
	}))
	must(t, w.StartPart(ctx, "prometheus"))
	must(t, l.WaitHealthy(ctx, "prod", version, long))
	stats, err := traffic.Stop(ctx)
	must(t, err)
	if stats.Failed != 0 {
		t.Errorf("%d of %d requests failed: %+v", stats.Failed, stats.Requests, stats.Versions)
	}
}

// TestKilledTenTimes: Serin is killed at ten random moments of a release's way
// to prod; the end is the same, and no request fails.
func TestKilledTenTimes(t *testing.T) {
	l := ofStory()
	ctx := t.Context()
	traffic, err := w.StartTraffic(ctx, "prod", 20, 15*time.Minute)
	must(t, err)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	killing, stop := context.WithCancel(ctx)
	defer stop()
	killed := make(chan struct{})
	var kills atomic.Int32
	go func() {
		defer close(killed)
		for kills.Load() < 10 {
			select {
			case <-killing.Done():
				return
			case <-time.After(time.Duration(2000+random.IntN(10000)) * time.Millisecond):
			}
			// Between a container's end and its restart there is none to kill.
			if w.KillSerin(killing) == nil {
				kills.Add(1)
			}
		}
	}()
	version := l.push(t, images.Good)
	way := func() error {
		if err := l.WaitHealthy(ctx, "dev", version, 3*long); err != nil {
			return err
		}
		if err := l.Approve(ctx, "staging", version, 3*long); err != nil {
			return err
		}
		if err := l.Approve(ctx, "prod", version, 3*long); err != nil {
			return err
		}
		return l.WaitHealthy(ctx, "prod", version, 3*long)
	}
	must(t, world.Eventually(ctx, 3*long, "the way to prod", func(context.Context) (string, error) { return "", way() }))
	t.Logf("killed %d times on the way to prod", kills.Load())
	<-killed
	if kills.Load() < 10 {
		t.Errorf("killed %d times, want 10", kills.Load())
	}
	must(t, w.WaitForSerin(ctx))
	_, err = l.WaitPhase(ctx, "prod", version, long, v1alpha1.PromotionSucceeded)
	must(t, err)
	stats, err := traffic.Stop(ctx)
	must(t, err)
	if stats.Failed != 0 {
		t.Errorf("%d of %d requests failed: %+v", stats.Failed, stats.Requests, stats.Versions)
	}
	messages, err := l.Git.Log(ctx)
	must(t, err)
	for _, environment := range world.Environments {
		count := 0
		for _, message := range messages {
			if strings.Contains(message, version) && strings.Contains(message, v1alpha1Environment+environment) && !strings.HasPrefix(message, "Merge ") {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d commits bring %s to %s, want 1", count, version, environment)
		}
	}
}

const v1alpha1Environment = "Serin-Environment: "

// TestPushRace: another writer pushes to the branch while promotions are
// written; nobody's edit is lost.
func TestPushRace(t *testing.T) {
	l := beside(t, "race")
	ctx := t.Context()
	const notes = 15
	done := make(chan error, 1)
	go func() {
		for i := range notes {
			if err := l.Git.Commit(ctx, fmt.Sprintf("Note %d", i), fmt.Sprintf("notes/%d.txt", i), func([]byte) []byte { return fmt.Appendf(nil, "note %d\n", i) }); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	version := l.push(t, images.Good)
	must(t, <-done)
	must(t, l.WaitHealthy(ctx, "dev", version, long))
	wantContains(t, "dev's overlay", l.overlay(t, "dev"), version)
	for i := range notes {
		text, err := l.Git.Read(ctx, fmt.Sprintf("notes/%d.txt", i))
		must(t, err)
		wantContains(t, "a note of the other writer", text, fmt.Sprintf("note %d", i))
	}
}

// TestImageMissing: Git names an image that the registry does not have; stable
// serves on.
func TestImageMissing(t *testing.T) {
	l := beside(t, "missing")
	ctx := t.Context()
	before := l.rollout(t, "dev", "healthy", func(s v1alpha1.RolloutStatus) bool { return s.Phase == v1alpha1.RolloutHealthy })
	kustomization := l.overlay(t, "dev")
	must(t, l.Git.Commit(ctx, "A tag that nobody pushed", overlayPath("dev"), func(text []byte) []byte {
		return withImage(text, "v9.9.9")
	}))
	failed := l.rollout(t, "dev", "rolled back", func(s v1alpha1.RolloutStatus) bool { return s.Phase == v1alpha1.RolloutRolledBack })
	t.Logf("failure: %s", failed.Status.Failure)
	if failed.Status.Stable.TemplateHash != before.Status.Stable.TemplateHash {
		t.Errorf("stable changed from %v to %v", before.Status.Stable, failed.Status.Stable)
	}
	must(t, l.Git.Commit(ctx, "Back", overlayPath("dev"), func([]byte) []byte { return []byte(kustomization) }))
	l.rollout(t, "dev", "healthy again", func(s v1alpha1.RolloutStatus) bool { return s.Phase == v1alpha1.RolloutHealthy })
}

// withImage writes another tag by hand, without a digest.
func withImage(kustomization []byte, tag string) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(kustomization)) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		switch field := strings.TrimSpace(line); {
		case strings.HasPrefix(field, "digest:"):
		case strings.HasPrefix(field, "newTag:"):
			out.WriteString(indent + "newTag: " + tag + "\n")
		default:
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}
