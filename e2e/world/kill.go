package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// killContainer sends SIGKILL to a container's processes, found by the
// container's cgroup; id is as the kubelet tells it ("containerd://<hash>").
func killContainer(id string) error {
	_, hash, found := strings.Cut(id, "://")
	if !found || len(hash) < 12 {
		return fmt.Errorf("kill container %q: not a container's id", id)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	killed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), hash) {
			continue // another's process, or one that has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			killed++
		}
	}
	if killed == 0 {
		return fmt.Errorf("kill container %s: no process of it was found", hash[:12])
	}
	return nil
}
