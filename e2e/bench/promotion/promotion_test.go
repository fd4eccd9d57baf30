package promotion

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// promoting, where set, makes this test binary the promoting process.
const promoting = "BENCH_PROMOTING"

func TestMain(m *testing.M) {
	if os.Getenv(promoting) == "" {
		os.Exit(m.Run())
	}
	if err := Promote(context.Background(), os.Args[1], os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestMeasure(t *testing.T) {
	figures, err := Measure(t.Context(), Options{
		Files: 200, Times: 3, Clones: 2, Progress: io.Discard,
		Promoter: func(ctx context.Context, url, store string) *exec.Cmd {
			command := exec.CommandContext(ctx, os.Args[0], url, store)
			command.Env = append(os.Environ(), promoting+"=1")
			return command
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(figures) != 6 {
		t.Errorf("got %d figures, want 6", len(figures))
	}
	for _, f := range figures {
		if f.Value <= 0 {
			t.Errorf("%s is %g: nothing was measured", f.Name, f.Value)
		}
	}
}

// A promotion that wrote nothing is not to be timed.
func TestRepeatedPromotionIsAnError(t *testing.T) {
	served, err := startServer(t.Context(), t.TempDir(), 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = served.close() })
	command := exec.Command(os.Args[0], served.url, t.TempDir())
	command.Env = append(os.Environ(), promoting+"=1")
	p, err := startPromoter(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop() })
	if _, err := p.promote(0, 0); err != nil {
		t.Fatal(err)
	}
	if a, err := p.promote(0, 0); err == nil {
		t.Errorf("the same promotion again took %g s, want an error", a.Seconds)
	}
}
