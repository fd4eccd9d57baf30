package promotion

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// role, where set, makes this test binary the promoting or the serving process.
const role = "BENCH_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "promote":
		err = Promote(context.Background(), os.Args[1], os.Args[2], os.Stdin, os.Stdout)
	case "serve":
		err = Serve(context.Background(), os.Args[1], os.Stdout)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// self runs this test binary in a role.
func self(ctx context.Context, as string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, os.Args[0], args...)
	command.Env = append(os.Environ(), role+"="+as)
	return command
}

func serve(ctx context.Context, dir string) *exec.Cmd { return self(ctx, "serve", dir) }

func TestMeasure(t *testing.T) {
	figures, err := Measure(t.Context(), Options{
		Files: 200, Times: 3, Clones: 2, Progress: io.Discard,
		Promoter: func(ctx context.Context, url, store string) *exec.Cmd { return self(ctx, "promote", url, store) },
		Server:   serve,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(figures) != 8 {
		t.Errorf("got %d figures, want 8", len(figures))
	}
	for _, f := range figures {
		if f.Value <= 0 {
			t.Errorf("%s is %g: nothing was measured", f.Name, f.Value)
		}
	}
}

// A promotion that wrote nothing is not to be timed.
func TestRepeatedPromotionIsAnError(t *testing.T) {
	served, err := startServer(t.Context(), t.TempDir(), 20, serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = served.close() })
	p, err := startPromoter(self(t.Context(), "promote", served.url, t.TempDir()))
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
