package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// cgroupMount is where the kernel's control groups are mounted.
const cgroupMount = "/sys/fs/cgroup"

// unified tells whether the machine has cgroup v2 only.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers"))
	return err == nil
}

// cgroupDirs are the directories that hold our control group: one on v2, one
// for each hierarchy on v1.
func cgroupDirs() ([]string, error) {
	if unified() {
		return []string{filepath.Join(cgroupMount, layout.CgroupName)}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, fmt.Errorf("control groups: %w", err)
	}
	var dirs []string
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join(cgroupMount, entry.Name(), "cgroup.procs")); err == nil {
			dirs = append(dirs, filepath.Join(cgroupMount, entry.Name(), layout.CgroupName))
		}
	}
	return dirs, nil
}

// MakeCgroups creates the parent of all pods' control groups, by which
// tear-down finds every process of every container.
func MakeCgroups() error {
	dirs, err := cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("control group %s: %w", dir, err)
		}
		if err := errors.Join(initCgroup(dir), favour(dir)); err != nil {
			return fmt.Errorf("control group %s: %w", dir, err)
		}
	}
	return nil
}

// favour gives a group eight times the weight of one process of the machine's: all
// pods together have no more than one otherwise, and stand still beside a compiler,
// of which each thread is as much.
func favour(dir string) error {
	for file, weight := range map[string]string{"cpu.shares": "8192", "cpu.weight": "800"} {
		file = filepath.Join(dir, file)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			continue // the other version's, or another controller's group
		}
		if err := os.WriteFile(file, []byte(weight), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// initCgroup makes a new group usable for children: on v2 controllers are
// passed on, on v1 a cpuset starts empty and is copied from its parent.
func initCgroup(dir string) error {
	if unified() {
		for _, group := range []string{cgroupMount, dir} {
			text := []byte("+cpu +cpuset +memory +pids")
			if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), text, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups kills every process in our control groups and removes them.
func removeCgroups(ctx context.Context) error {
	dirs, err := cgroupDirs()
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, layout.PollInterval, stopGrace, true, func(context.Context) (bool, error) {
		left := false
		for _, root := range dirs {
			groups, err := subdirectories(root)
			if err != nil {
				return false, err
			}
			for _, group := range slices.Backward(groups) { // children first
				killGroup(group)
				if err := os.Remove(group); err != nil && !errors.Is(err, os.ErrNotExist) {
					left = true
				}
			}
		}
		return !left, nil
	})
}

// subdirectories lists a directory and all below it, parents first; none when
// it does not exist. What disappears meanwhile is passed over.
func subdirectories(root string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			found = append(found, path)
		}
		return nil
	})
	return found, err
}

// killGroup sends SIGKILL to the processes of one control group.
func killGroup(dir string) {
	pids, err := processesOf(dir)
	if err != nil {
		return
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// killShims ends the containerd shims that serve our containerd.
func killShims(ctx context.Context, l layout.Layout) error {
	pids, err := shims(l)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		shim, err := recordOf(pid)
		if err != nil {
			continue // it has just ended
		}
		if err := endProcess(ctx, shim, true); err != nil {
			return fmt.Errorf("containerd shim: %w", err)
		}
	}
	return nil
}

// shims are the processes of those shims, known by our containerd's socket on
// their command line.
func shims(l layout.Layout) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && isShim(string(cmdline), l.ContainerdSocket()) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isShim tells whether a command line (NUL-separated) is a shim of that socket.
func isShim(cmdline, socket string) bool {
	argv := strings.Split(strings.TrimRight(cmdline, "\x00"), "\x00")
	return strings.HasPrefix(filepath.Base(argv[0]), "containerd-shim") && slices.Contains(argv, socket)
}

// unmountAll unmounts everything below our state directory, deepest first.
func unmountAll(l layout.Layout) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	mounts := mountsBelow(string(text), l.Dir)
	for _, mount := range slices.Backward(mounts) {
		err := unix.Unmount(mount, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		// EINVAL and ENOENT: it went together with the one above it.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", mount, err)
		}
	}
	return nil
}

// mountsBelow lists the mount points below a directory in the order they were
// made, out of the text of /proc/self/mountinfo.
func mountsBelow(mountinfo, dir string) []string {
	const mountPointField = 4
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var found []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) <= mountPointField {
			continue
		}
		point := unescape.Replace(fields[mountPointField])
		if strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	return found
}

// removeLogLinks removes the links to our pods' logs that the kubelet makes in
// a directory it shares with any other kubelet of the machine.
func removeLogLinks(l layout.Layout) error {
	const shared = "/var/log/containers"
	entries, err := os.ReadDir(shared)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		link := filepath.Join(shared, entry.Name())
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, l.Dir+"/") {
			if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// CleanUp removes from the machine what stopped parts leave behind. It is safe
// to repeat, and safe when nothing is left.
func CleanUp(ctx context.Context, l layout.Layout) error {
	if err := killShims(ctx, l); err != nil {
		return err
	}
	if err := removeCgroups(ctx); err != nil {
		return fmt.Errorf("remove the pods' control groups: %w", err)
	}
	if err := unmountAll(l); err != nil {
		return err
	}
	if err := netns.Remove(ctx); err != nil {
		return err
	}
	return removeLogLinks(l)
}

// HostData is where the volumes of the example lie: the node's directories are
// the machine's.
const HostData = "/var/lib/ipfs-kit"

// ClaimHostData notes that a directory, which is not there yet, will be the
// sandbox's own. One that is there belongs to somebody else and stays theirs.
func ClaimHostData(l layout.Layout, dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return layout.WriteFile(l.Path("host-data"), []byte(dir), 0o644)
}

// RemoveHostData removes the directory that claimHostData noted.
func RemoveHostData(l layout.Layout) error {
	dir, err := os.ReadFile(l.Path("host-data"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(string(dir)), os.Remove(l.Path("host-data")))
}
