// Package machine does to the machine what the sandbox needs and undoes it:
// packages, processes, control groups and mounts.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// Process identifies a process beyond doubt: a pid alone is reused, after a
// reboot even together with a start time.
type Process struct {
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot, field 22 of /proc/PID/stat.
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
}

// stopGrace is the time between SIGTERM and SIGKILL.
const stopGrace = 10 * time.Second

// RecordPath is the file that remembers a part's process.
func RecordPath(l layout.Layout, part string) string { return l.Path("run", "parts", part+".json") }

// recordOf describes a process that runs now.
func recordOf(pid int) (Process, error) {
	start, state, err := processStat(pid)
	if err != nil {
		return Process{}, err
	}
	if state == "Z" || state == "X" {
		return Process{}, fmt.Errorf("process %d has ended", pid)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
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

// Running returns the process of a part, or false when none runs.
func Running(l layout.Layout, part string) (Process, bool) {
	text, err := os.ReadFile(RecordPath(l, part))
	if err != nil {
		return Process{}, false
	}
	var saved Process
	if err := json.Unmarshal(text, &saved); err != nil {
		return Process{}, false
	}
	return saved, saved.Alive()
}

// Alive tells whether that very process still runs.
func (r Process) Alive() bool {
	now, err := recordOf(r.PID)
	return err == nil && now == r
}

// collector has the parts, which are all Go programs, collect garbage half as often as
// by Go's default, and take some more memory. Who sets GOGC has it otherwise.
const collector = "GOGC=200"

// Spawn starts a part's process in its own session, its output in the part's log, and
// remembers it. What its last process wrote stays beside that, and tells why it ended.
func Spawn(l layout.Layout, part string, argv, env []string) (Process, error) {
	for _, dir := range []string{l.Path("logs"), filepath.Dir(RecordPath(l, part))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Process{}, err
		}
	}
	if err := os.Rename(l.Log(part), l.LastLog(part)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Process{}, err
	}
	log, err := os.OpenFile(l.Log(part), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return Process{}, err
	}
	defer func() { _ = log.Close() }()
	// Not CommandContext: the part outlives the caller.
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdout, command.Stderr = log, log
	command.Env = slices.Concat([]string{collector}, os.Environ(), env)
	command.Dir = l.Dir
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What the caller was given beside the standard files, such as the lock of
	// flock(1), is not the part's to keep.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return Process{}, fmt.Errorf("keep open files from the part: %w", err)
	}
	if err := command.Start(); err != nil {
		return Process{}, err
	}
	started, err := recordOf(command.Process.Pid)
	// Collect the process when it ends while we still run, so that it is not
	// taken for alive; its exit is noticed through its record.
	go func() { _ = command.Wait() }()
	if err != nil {
		return Process{}, fmt.Errorf("ended at once: %w", err)
	}
	text, err := json.Marshal(started)
	if err != nil {
		return Process{}, err
	}
	return started, layout.WriteFile(RecordPath(l, part), text, 0o644)
}

// Stop ends a part: politely first, unless force is set. A part that does not
// run is not an error.
func Stop(ctx context.Context, l layout.Layout, part string, force bool) error {
	if running, ok := Running(l, part); ok {
		if err := endProcess(ctx, running, force); err != nil {
			return fmt.Errorf("stop %s: %w", part, err)
		}
	}
	if err := os.Remove(RecordPath(l, part)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// endProcess sends SIGTERM, and SIGKILL after a grace, and waits for the end.
func endProcess(ctx context.Context, process Process, force bool) error {
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
		err := wait.PollUntilContextTimeout(ctx, layout.PollInterval, stopGrace, true, func(context.Context) (bool, error) {
			return !process.Alive(), nil
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
