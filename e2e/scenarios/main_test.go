//go:build scenarios || e2e

package scenarios

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/serin-gitops/serin/e2e/story"
	"github.com/serin-gitops/serin/e2e/world"
)

// w is the world that all scenarios are in.
var w *world.World

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run returns the exit code, after what it deferred.
func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if w, err = world.Start(ctx, world.Options{Profile: profile, Progress: os.Stdout, Lines: lines}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// From here on an interrupt ends the process: tests know nothing of ctx.
	stop()
	code := m.Run()
	if err := w.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// TestStory is the whole main job. It comes before all scenarios in its line, whose
// versions are newer than its own.
func TestStory(t *testing.T) {
	figures, err := story.Tell(t.Context(), w, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := figures.Print(t.Output()); err != nil {
		t.Error(err)
	}
}
