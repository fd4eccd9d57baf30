package tryout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// ticking is a clock that goes on by a step whenever it is looked at.
func ticking(step time.Duration) func() time.Time {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(step)
		return now
	}
}

func TestProgress(t *testing.T) {
	for name, test := range map[string]struct {
		step            time.Duration
		terminal, quiet bool
		want            string
	}{
		"short":    {time.Millisecond, false, false, ""},
		"long":     {500 * time.Millisecond, false, false, "3 done, 1s so far\n6 done, 3s so far\n12 done, 6s so far\n24 done, 12s so far\n48 done, 24s so far\n96 done, 48s so far\n"},
		"terminal": {time.Second, true, false, "\r2 done, 2s so far\r3 done, 3s so far\r4 done, 4s so far"},
		"quiet":    {time.Second, false, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := newProgress(&out, test.quiet, ticking(test.step))
			p.terminal = test.terminal
			for done := range 100 {
				p.tell(func() string { return fmt.Sprintf("%d done", done+1) })
			}
			got := out.String()
			if test.terminal {
				got = got[:min(len(got), len(test.want))]
			}
			if got != test.want {
				t.Errorf("said %q, want %q", got, test.want)
			}
			out.Reset()
			p.end()
			if wiped := out.String(); test.terminal != (strings.HasPrefix(wiped, "\r ") && strings.HasSuffix(wiped, " \r")) {
				t.Errorf("at the end it wrote %q; a line of a terminal is wiped, and no other", wiped)
			}
		})
	}
	// A very long one has a line a minute, not fewer.
	var out bytes.Buffer
	p := newProgress(&out, false, ticking(time.Second))
	for range 3600 {
		p.tell(func() string { return "still" })
	}
	if lines := strings.Count(out.String(), "\n"); lines < 55 || lines > 70 {
		t.Errorf("%d lines in an hour, want about one a minute", lines)
	}
}

// interrupting ends a context at the first word of progress.
type interrupting struct {
	bytes.Buffer
	cancel func()
}

// Write implements io.Writer.
func (i *interrupting) Write(p []byte) (int, error) {
	i.cancel()
	return i.Buffer.Write(p)
}

// TestInterruptedSimulation says how far it was, and prints nothing that could be
// taken for the whole.
func TestInterruptedSimulation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := &interrupting{cancel: cancel}
	s := simulation{}
	cmd := &cobra.Command{}
	s.files.flags(cmd)
	s.flags(cmd)
	if err := cmd.ParseFlags([]string{"-f", "testdata/rollout.yaml", "--template", "testdata/template.yaml", "--runs", "100000"}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := s.run(ctx, nil, &out, newProgress(said, false, ticking(time.Second)))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted after ") || !strings.Contains(err.Error(), " of 900000 rollouts; the table is not printed") {
		t.Errorf("error %v, want one that says how far it was", err)
	}
	if out.Len() > 0 || !strings.Contains(said.String(), "simulated 2 of 900000 rollouts, 0 of 9 lines of the table, 2s so far\n") {
		t.Errorf("printed %q and said %q; want nothing printed, and how far it is said", out.String(), said.String())
	}
}

// TestPlainSteps lets plain rules promote over steps that wait for evidence, and
// says how long theirs are.
func TestPlainSteps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollout.yaml")
	write(t, file, `apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {kind: Deployment, name: web}
  steps: [{weight: 5, until: Evidence}, {weight: 50, until: Evidence, duration: 3m}]
  analysis: {interval: 10s, checks: [{name: errors, ratio: {total: a, bad: b}}]}
`)
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Plain rules know no evidence: 5% for 5m0s, 50% for 3m0s.\n", "good over 1m0s, 0 failures accepted  0.0%         0.0-16.1%     -               -            -                100.0%    8m2s"}},
		{[]string{"--plain-step", "1m"}, []string{"Plain rules know no evidence: 5% for 1m0s, 50% for 1m0s.\n", "100.0%    2m2s"}},
	} {
		out, err := serin(t, append([]string{"simulate", "-f", file, "--runs", "20", "--requests-per-second", "1000", "--canary-failures", "0.5"}, test.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: it does not say %q:\n%s", test.args, want, out)
			}
		}
	}
}

// TestInterruptedReading gives up a pipe that nobody writes to.
func TestInterruptedReading(t *testing.T) {
	in, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var found documents
	if err := found.read(ctx, "-", in); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	for _, text := range []string{"", strings.Repeat("kind: Other\n---\n", 10_000)} {
		if err := new(documents).read(t.Context(), "-", strings.NewReader(text)); err != nil {
			t.Errorf("%d bytes of the standard input: %v", len(text), err)
		}
	}
}
