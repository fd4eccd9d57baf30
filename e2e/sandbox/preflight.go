package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// debianPackages are what the sandbox takes from the distribution, with a file
// that shows that it is there and the profile that needs it.
var debianPackages = []struct {
	name, file string
	profile    Profile
}{
	{"containerd", "/usr/bin/containerd", Light},
	{"runc", "/usr/sbin/runc", Light},
	{"containernetworking-plugins", "/usr/lib/cni/ptp", Light},
	{"nftables", "/usr/sbin/nft", Light},
	{"iptables", "/usr/sbin/iptables", Light},
	{"conntrack", "/usr/sbin/conntrack", Light},
	{"prometheus", "/usr/bin/prometheus", Light},
	{"iproute2", "/usr/sbin/ip", Light},
	{"util-linux", "/usr/bin/nsenter", Light},
	{"git", "/usr/bin/git", Full},
	{"gcc", "/usr/bin/gcc", Full},
	{"libc6-dev", "/usr/include/stdio.h", Full},
}

// minimumDisk is the free space, in bytes, below which the sandbox does not start.
const minimumDisk = 4 << 30

// checkMachine finds out what would make the sandbox fail later and obscurely.
func checkMachine(l layout) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("root is needed for namespaces, mounts and control groups; this is user %d: run it with sudo", os.Geteuid())
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(l.dir, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", l.dir, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minimumDisk {
		return fmt.Errorf("%s has %d MiB free, the sandbox needs %d MiB: free some or set SERIN_CACHE to another disk", l.dir, free>>20, minimumDisk>>20)
	}
	return checkPorts(l)
}

// checkPorts verifies that the host's ports are free unless our own forwarder
// holds them.
func checkPorts(l layout) error {
	if _, ok := l.running(partForward); ok {
		return nil
	}
	for _, one := range forwards() {
		if one.inside {
			continue
		}
		listener, err := net.Listen("tcp", one.listen)
		if err != nil {
			return fmt.Errorf("%s is taken by another program (%w): stop it, `ss -tlnp` shows which", one.listen, err)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

// missingPackages lists the distribution's packages that the profile needs and
// that are not installed.
func missingPackages(profile Profile, exists func(file string) bool) []string {
	var missing []string
	for _, one := range debianPackages {
		if (one.profile == Light || profile == Full) && !exists(one.file) {
			missing = append(missing, one.name)
		}
	}
	return missing
}

// installPackages installs what is missing, with apt-get's output in a log.
func installPackages(ctx context.Context, l layout, profile Profile) error {
	missing := missingPackages(profile, func(file string) bool {
		_, err := os.Stat(file)
		return err == nil
	})
	if len(missing) == 0 {
		return nil
	}
	if err := os.MkdirAll(l.path("logs"), 0o755); err != nil {
		return err
	}
	log, err := os.Create(l.log("apt-get"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	for _, args := range [][]string{{"update"}, append([]string{"install", "--yes", "--no-install-recommends"}, missing...)} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		command.Stdout, command.Stderr = log, log
		if err := command.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w; install %s by hand or read %s", args[0], err, strings.Join(missing, " "), l.log("apt-get"))
		}
	}
	return nil
}
