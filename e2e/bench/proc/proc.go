// Package proc reads what Linux knows of a process.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Self is this process, for Peak.
const Self = "self"

// Peak is the most memory, in bytes, that a process ever had resident: VmHWM of
// proc(5). Give a process id or Self.
func Peak(pid string) (int64, error) {
	path := filepath.Join("/proc", pid, "status")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		value, found := strings.CutPrefix(line, "VmHWM:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: VmHWM: %w", path, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("%s has no VmHWM", path)
}
