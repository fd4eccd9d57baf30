package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHugePagesAreSetForACommandOnly(t *testing.T) {
	const asked = "always [madvise] never"
	tests := map[string]struct {
		before, command   string
		off               bool
		wantSeen, wantEnd string
		wantCode          int
	}{
		"set and put back":         {before: asked, wantSeen: "always", wantEnd: "madvise"},
		"put back after a failure": {before: asked, command: "exit 3", wantSeen: "always", wantEnd: "madvise", wantCode: 3},
		"put back after a signal":  {before: asked, command: "kill -TERM $$", wantSeen: "always", wantEnd: "madvise", wantCode: -1},
		"put back after a kill":    {before: asked, command: "kill -KILL $$", wantSeen: "always", wantEnd: "madvise", wantCode: -1},
		"always stays":             {before: "[always] madvise never", wantSeen: "[always] madvise never", wantEnd: "[always] madvise never"},
		"never stays":              {before: "always madvise [never]", wantSeen: "always madvise [never]", wantEnd: "always madvise [never]"},
		"switched off":             {before: asked, off: true, wantSeen: asked, wantEnd: asked},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setting := filepath.Join(t.TempDir(), "enabled")
			if err := os.WriteFile(setting, []byte(tt.before), 0o600); err != nil {
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), "./hugepages.sh", "sh", "-c", `cat "$HUGE_PAGES_SETTING"; `+tt.command)
			c.Env = append(os.Environ(), "HUGE_PAGES_SETTING="+setting, "HUGE_PAGES=")
			if tt.off {
				c.Env = append(c.Env, "HUGE_PAGES=no")
			}
			seen, err := c.Output()
			code := 0
			var ended *exec.ExitError
			if errors.As(err, &ended) {
				code = ended.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(seen)); got != tt.wantSeen {
				t.Errorf("the command saw %q, want %q", got, tt.wantSeen)
			}
			waitForSetting(t, setting, tt.wantEnd)
			if code != tt.wantCode {
				t.Errorf("ended with %d, want the command's %d", code, tt.wantCode)
			}
		})
	}
}

// waitForSetting waits until what watches the command has seen its end.
func waitForSetting(t *testing.T, setting, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(setting)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSpace(string(text))
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("afterwards the setting is %q, want %q", got, want)
		}
	}
}

func TestHugePagesAreNoCondition(t *testing.T) {
	c := exec.CommandContext(t.Context(), "./hugepages.sh", "echo", "ran")
	c.Env = append(os.Environ(), "HUGE_PAGES_SETTING="+filepath.Join(t.TempDir(), "missing", "enabled"))
	if out, err := c.CombinedOutput(); err != nil || string(out) != "ran\n" {
		t.Errorf("where a kernel has no such setting: %v, %q", err, out)
	}
}
