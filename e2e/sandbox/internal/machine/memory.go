package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// Resident is the memory that a process holds, in bytes: its share of what it has
// in common with others, so that a sum counts nothing twice. Who may not see that
// gets all that is resident. It is 0 for a process that has ended.
func Resident(pid int) uint64 {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if text, err := os.ReadFile(filepath.Join(dir, "smaps_rollup")); err == nil {
		return kilobytes(string(text), "Pss:")
	}
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0
	}
	return kilobytes(string(text), "VmRSS:")
}

// kilobytes reads a line such as "Pss:   1234 kB"; 0 where there is none.
func kilobytes(text, name string) uint64 {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != name {
			continue
		}
		if value, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
			return value << 10
		}
	}
	return 0
}

// PodProcesses are the processes of all pods, with the shims of containerd that
// hold them.
func PodProcesses(l layout.Layout) ([]int, error) {
	dirs, err := cgroupDirs()
	if err != nil {
		return nil, err
	}
	pids, err := shims(l)
	if err != nil || len(dirs) == 0 {
		return pids, err
	}
	// On v1 a process is in each hierarchy: one is enough.
	groups, err := subdirectories(dirs[0])
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		inside, err := processesOf(group)
		if err != nil {
			continue // it has just been removed
		}
		pids = append(pids, inside...)
	}
	return pids, nil
}

// processesOf lists the processes of one control group.
func processesOf(group string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		// 0 stands for a process outside our pid namespace and must not be signalled.
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
