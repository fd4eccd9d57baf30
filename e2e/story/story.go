// Package story is Serin's main job told on real parts: a good release travels
// to production as a canary, and three bad ones come back by themselves, each
// for another reason. The demo prints it, the scenarios assert it.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/world"
)

// The releases of the story.
const (
	v0 = "v1.0.0"
	v1 = "v1.1.0" // good
	v2 = "v1.2.0" // 10% of its answers are errors
	v3 = "v1.3.0" // finds no peers
	v4 = "v1.4.0" // crashes
)

const (
	rate = 50
	// longest bounds the traffic.
	longest = 15 * time.Minute
	// step bounds each wait of the story; shared machines are slow.
	step = 4 * time.Minute
)

type story struct {
	w       *world.World
	out     io.Writer
	started time.Time
	traffic *world.Traffic
	figures Figures
}

// Tell plays the story in a world that has v1.0.0 everywhere. It returns an
// error where the story did not go the way it should.
func Tell(ctx context.Context, w *world.World, out io.Writer) (*Figures, error) {
	for version, variant := range map[string]images.Variant{v1: images.Good, v2: images.Errors, v3: images.NoPeers, v4: images.Crash} {
		if err := w.BuildImage(ctx, version, variant); err != nil {
			return nil, err
		}
	}
	s := &story{w: w, out: out, started: time.Now()}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	timeline := newTimeline(w, s.say)
	go timeline.run(watching)

	var err error
	if s.traffic, err = w.StartTraffic(ctx, "prod", rate, longest); err != nil {
		return nil, err
	}
	s.say("%s runs everywhere; people send %d requests a second to prod", v0, rate)
	for _, chapter := range []func(context.Context) error{s.good, s.errors, s.noPeers, func(ctx context.Context) error { return s.crash(ctx, timeline) }, s.end} {
		if err := chapter(ctx); err != nil {
			return &s.figures, err
		}
	}
	return &s.figures, nil
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.started).Seconds(), fmt.Sprintf(format, args...))
}

// push pushes an image and says so; what is returned is when the push ended.
func (s *story) push(ctx context.Context, version string, variant images.Variant, what string) (time.Time, error) {
	s.say("push %s: %s", version, what)
	_, err := s.w.PushImage(ctx, version, variant)
	return time.Now(), err
}

// through brings a version from dev to the start of its trial in prod.
func (s *story) through(ctx context.Context, version string) error {
	if err := s.w.WaitHealthy(ctx, "dev", version, step); err != nil {
		return err
	}
	if err := s.w.Approve(ctx, "staging", version, step); err != nil {
		return err
	}
	s.say("a person merges the promotion of %s to staging", version)
	if err := s.w.WaitHealthy(ctx, "staging", version, step); err != nil {
		return err
	}
	if err := s.w.Approve(ctx, "prod", version, step); err != nil {
		return err
	}
	s.say("a person merges the promotion of %s to prod", version)
	return nil
}

// good: v1.1.0 goes all the way.
func (s *story) good(ctx context.Context) error {
	pushed, err := s.push(ctx, v1, images.Good, "a good one")
	if err != nil {
		return err
	}
	commit, err := s.w.WaitCommit(ctx, "dev", v1, step)
	if err != nil {
		return err
	}
	s.figures.PushToDevCommit = time.Since(pushed).Seconds()
	if err := world.Eventually(ctx, step, "the tip of the branch to be the promotion's commit", func(ctx context.Context) (string, error) {
		tip, err := s.w.Git.Tip(ctx)
		if err != nil || tip == commit {
			return "", err
		}
		return fmt.Sprintf("it is %s, and the promotion of %s to dev names %s", tip, v1, commit), nil
	}); err != nil {
		return err
	}
	if err := s.through(ctx, v1); err != nil {
		return err
	}
	if err := s.w.WaitHealthy(ctx, "prod", v1, step); err != nil {
		return err
	}
	_, err = s.w.WaitPhase(ctx, "prod", v1, step, v1alpha1.PromotionSucceeded)
	return err
}

// errors: v1.2.0 answers 10% of requests with errors; prod's analysis finds it.
func (s *story) errors(ctx context.Context) error {
	if _, err := s.push(ctx, v2, images.Errors, "one whose workers fail 10% of the requests; the checks of dev and staging count no requests, those of prod do"); err != nil {
		return err
	}
	if err := s.through(ctx, v2); err != nil {
		return err
	}
	if err := s.rolledBack(ctx, "prod", v2, v1); err != nil {
		return err
	}
	stats, err := s.traffic.Stats(ctx)
	if err != nil {
		return err
	}
	version := stats.Version(v2)
	if version.FirstFailed == nil {
		return fmt.Errorf("%s answered %d requests and failed none: it was not its errors that were found", v2, version.Requests)
	}
	s.figures.BadToZeroErrors = version.LastSeen.Sub(*version.FirstFailed).Seconds()
	return nil
}

// noPeers: v1.3.0 is stopped in dev by the peers check.
func (s *story) noPeers(ctx context.Context) error {
	if _, err := s.push(ctx, v3, images.NoPeers, "one that finds no peers"); err != nil {
		return err
	}
	if err := s.rolledBack(ctx, "dev", v3, v2); err != nil {
		return err
	}
	return s.because(ctx, "dev", v3, "peers")
}

// crash: v1.4.0 is stopped in dev by the workload check.
func (s *story) crash(ctx context.Context, timeline *timeline) error {
	if _, err := s.push(ctx, v4, images.Crash, "one that crashes"); err != nil {
		return err
	}
	if err := s.rolledBack(ctx, "dev", v4, v2); err != nil {
		return err
	}
	crashed, judged := timeline.crash()
	if crashed.IsZero() || judged.IsZero() {
		return errors.New("no crash of a canary pod was seen before the verdict")
	}
	s.figures.BadToZeroCrash = max(0, judged.Sub(crashed).Seconds())
	return nil
}

// because checks that a promotion failed for the reason it should.
func (s *story) because(ctx context.Context, environment, version, word string) error {
	promotion, err := s.w.Promotion(ctx, environment, version)
	if err != nil {
		return err
	}
	if !strings.Contains(promotion.Status.Failure, word) {
		return fmt.Errorf("%s failed in %s for another reason than %s: %s", version, environment, word, promotion.Status.Failure)
	}
	return nil
}

// rolledBack waits until version is taken out of environment, and checks every
// link of the chain: the promotion, Git, the quarantine, the workload.
func (s *story) rolledBack(ctx context.Context, environment, version, back string) error {
	if _, err := s.w.WaitPhase(ctx, environment, version, step, v1alpha1.PromotionRolledBack); err != nil {
		return err
	}
	overlay, err := s.w.Git.Read(ctx, "deploy/overlays/"+environment+"/kustomization.yaml")
	if err != nil {
		return err
	}
	if strings.Contains(overlay, version) || !strings.Contains(overlay, back) {
		return fmt.Errorf("the overlay of %s does not have %s again:\n%s", environment, back, overlay)
	}
	release, err := s.w.Release(ctx, version)
	if err != nil {
		return err
	}
	if release.Status.Quarantined == nil || release.Status.Quarantined.Environment != environment {
		return fmt.Errorf("the Release of %s is not quarantined in %s: %v", version, environment, release.Status.Quarantined)
	}
	s.say("%s is taken back from %s: Git has %s again, and the Release is quarantined", version, environment, back)
	return s.w.WaitHealthy(ctx, environment, back, step)
}

// end adds up.
func (s *story) end(ctx context.Context) error {
	stats, err := s.traffic.Stop(ctx)
	if err != nil {
		return err
	}
	s.figures.count(stats)
	messages, err := s.w.Git.Log(ctx)
	if err != nil {
		return err
	}
	for _, message := range messages {
		if strings.Contains(message, "Serin-Pipeline: ") && !strings.HasPrefix(message, "Merge ") {
			s.figures.Commits++
		}
	}
	for _, version := range []string{v1, v2, v3, v4} {
		release, err := s.w.Release(ctx, version)
		if err != nil {
			return err
		}
		if release.Status.Quarantined != nil {
			s.figures.Quarantined++
		}
	}
	var wrong []error
	if s.figures.FailedStable != 0 {
		wrong = append(wrong, fmt.Errorf("%d requests failed that no bad release answered, want 0: %+v", s.figures.FailedStable, stats.Versions))
	}
	if s.figures.Quarantined != 3 {
		wrong = append(wrong, fmt.Errorf("%d releases are quarantined, want 3", s.figures.Quarantined))
	}
	s.say("the story ends")
	return errors.Join(wrong...)
}
