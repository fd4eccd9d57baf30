package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beside runs two shell scripts by beside.sh, and gives its lines in order of the
// alphabet and how it ended.
func beside(t *testing.T, first, second string) (lines []string, status int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "./beside.sh", "code", "sh", "-c", first, "--", "sh", "-c", second).Output()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		status = ended.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(out)), "\n")), status
}

func TestTwoCommandsRunAtOnce(t *testing.T) {
	// Each waits for the other: one after the other would end neither.
	pipes := t.TempDir()
	for _, name := range []string{"/a", "/b"} {
		if err := syscall.Mkfifo(pipes+name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines, status := beside(t, "echo 1 >"+pipes+"/a; read x <"+pipes+"/b; echo quiet; nice", "read x <"+pipes+"/a; echo 1 >"+pipes+"/b; echo loud")
	// The kernel tells 20 less what is called nice, which ends at 19.
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{fmt.Sprint("[code] ", min(19, 20-priority+10)), "[code] quiet", "loud"}; !slices.Equal(lines, want) || status != 0 {
		t.Errorf("got %q, status %d; want %q, 0", lines, status, want)
	}
}

func TestWhatFailsEndsTheOther(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second string
		status        int
	}{
		"the first":  {"exit 3", "sleep 600; echo never", 3},
		"the second": {"sleep 600; echo never", "exit 4", 4},
	} {
		t.Run(name, func(t *testing.T) {
			lines, status := beside(t, tt.first, tt.second)
			if status != tt.status || strings.Contains(strings.Join(lines, ""), "never") {
				t.Errorf("status %d, %q; want %d", status, lines, tt.status)
			}
		})
	}
}

func TestInterruptEndsBoth(t *testing.T) {
	// Where whoever began the tests ignores interrupts, as a shell does for what it
	// runs in the background, a child would too: it begins anew with one that is caught.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT)
	defer signal.Stop(caught)
	c := exec.CommandContext(t.Context(), "./beside.sh", "code", "sh", "-c", "echo up; exec sleep 600", "--", "sh", "-c", "sleep 600")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*time.Minute, func() { _ = c.Process.Kill() })
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v; want the interrupt, as a command without it", err)
	}
}
