package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// record identifies a process beyond doubt: a pid alone is reused, after a
// reboot even together with a start time.
type record struct {
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot, field 22 of /proc/PID/stat.
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
}

const (
	stopGrace    = 10 * time.Second // between SIGTERM and SIGKILL
	pollInterval = 100 * time.Millisecond
)

// recordPath is the file that remembers a part's process.
func (l layout) recordPath(part string) string { return l.path("run", "parts", part+".json") }

// recordOf describes a process that runs now.
func recordOf(pid int) (record, error) {
	start, state, err := processStat(pid)
	if err != nil {
		return record{}, err
	}
	if state == "Z" || state == "X" {
		return record{}, fmt.Errorf("process %d has ended", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return record{}, err
	}
	return record{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// processStat reads start time and state of a process.
func processStat(pid int) (start uint64, state string, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "", err
	}
	return parseStat(string(text))
}

// parseStat reads a line of /proc/PID/stat. The second field is the command's
// name in parentheses and may hold spaces and parentheses itself.
func parseStat(line string) (start uint64, state string, err error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return 0, "", fmt.Errorf("process status %q: no command name", line)
	}
	fields := strings.Fields(line[end+1:])
	const stateField, startField = 0, 19 // counted from the third field of the line
	if len(fields) <= startField {
		return 0, "", fmt.Errorf("process status %q: too few fields", line)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return start, fields[stateField], err
}

// running returns the process of a part, or false when none runs.
func (l layout) running(part string) (record, bool) {
	text, err := os.ReadFile(l.recordPath(part))
	if err != nil {
		return record{}, false
	}
	var saved record
	if err := json.Unmarshal(text, &saved); err != nil {
		return record{}, false
	}
	return saved, saved.alive()
}

// alive tells whether that very process still runs.
func (r record) alive() bool {
	now, err := recordOf(r.PID)
	return err == nil && now == r
}

// spawn starts a part's process in its own session, its output appended to the
// part's log, and remembers it.
func (l layout) spawn(part string, argv, env []string) (record, error) {
	for _, dir := range []string{l.path("logs"), filepath.Dir(l.recordPath(part))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return record{}, err
		}
	}
	log, err := os.OpenFile(l.log(part), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return record{}, err
	}
	defer func() { _ = log.Close() }()
	// Not CommandContext: the part outlives the caller.
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), env...)
	command.Dir = l.dir
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return record{}, err
	}
	started, err := recordOf(command.Process.Pid)
	// Collect the process when it ends while we still run, so that it is not
	// taken for alive; its exit is noticed through its record.
	go func() { _ = command.Wait() }()
	if err != nil {
		return record{}, fmt.Errorf("ended at once: %w", err)
	}
	text, err := json.Marshal(started)
	if err != nil {
		return record{}, err
	}
	return started, writeFile(l.recordPath(part), text, 0o644)
}

// stop ends a part: politely first, unless force is set. A part that does not
// run is not an error.
func (l layout) stop(ctx context.Context, part string, force bool) error {
	if running, ok := l.running(part); ok {
		if err := endProcess(ctx, running, force); err != nil {
			return fmt.Errorf("stop %s: %w", part, err)
		}
	}
	if err := os.Remove(l.recordPath(part)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// endProcess sends SIGTERM, and SIGKILL after a grace, and waits for the end.
func endProcess(ctx context.Context, process record, force bool) error {
	signals := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}
	if force {
		signals = signals[1:]
	}
	for _, signal := range signals {
		if err := syscall.Kill(process.PID, signal); errors.Is(err, syscall.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("signal process %d: %w", process.PID, err)
		}
		err := wait.PollUntilContextTimeout(ctx, pollInterval, stopGrace, true, func(context.Context) (bool, error) {
			return !process.alive(), nil
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("process %d does not end, even by SIGKILL", process.PID)
}

// logTail returns the last lines of a part's log, for an error message.
func (l layout) logTail(part string, lines int) string {
	text, err := os.ReadFile(l.log(part))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
