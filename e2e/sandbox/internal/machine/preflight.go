package machine

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// debianPackages are what the sandbox takes from the distribution, with a file
// that shows that it is there and the profile that needs it.
var debianPackages = []struct {
	name, file string
	profile    layout.Profile
}{
	{"containerd", "/usr/bin/containerd", layout.Light},
	{"runc", "/usr/sbin/runc", layout.Light},
	{"containernetworking-plugins", "/usr/lib/cni/ptp", layout.Light},
	{"nftables", "/usr/sbin/nft", layout.Light},
	{"iptables", "/usr/sbin/iptables", layout.Light},
	{"conntrack", "/usr/sbin/conntrack", layout.Light},
	{"prometheus", "/usr/bin/prometheus", layout.Light},
	{"iproute2", "/usr/sbin/ip", layout.Light},
	{"util-linux", "/usr/bin/nsenter", layout.Light},
	{"git", "/usr/bin/git", layout.Full},
	{"gcc", "/usr/bin/gcc", layout.Full},
	{"libc6-dev", "/usr/include/stdio.h", layout.Full},
}

// minimumDisk is the free space, in bytes, below which the sandbox does not start.
const minimumDisk = 4 << 30

// Check finds out what would make the sandbox fail later and obscurely.
func Check(l layout.Layout) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("root is needed for namespaces, mounts and control groups; this is user %d: run it with sudo", os.Geteuid())
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(l.Dir, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", l.Dir, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minimumDisk {
		return fmt.Errorf("%s has %d MiB free, the sandbox needs %d MiB: free some or set SERIN_CACHE to another disk", l.Dir, free>>20, minimumDisk>>20)
	}
	return checkPorts(l)
}

// checkPorts verifies that the host's ports are free unless our own forwarder
// holds them.
func checkPorts(l layout.Layout) error {
	if _, ok := Running(l, PartForward); ok {
		return nil
	}
	for _, address := range netns.HostAddresses() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%s is taken by another program (%w): stop it, `ss -tlnp` shows which", address, err)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

// missingPackages lists the distribution's packages that the profile needs and
// that are not installed.
func missingPackages(profile layout.Profile, exists func(file string) bool) []string {
	var missing []string
	for _, one := range debianPackages {
		if (one.profile == layout.Light || profile == layout.Full) && !exists(one.file) {
			missing = append(missing, one.name)
		}
	}
	return missing
}

// InstallPackages installs what is missing, with apt-get's output in a log.
func InstallPackages(ctx context.Context, l layout.Layout, profile layout.Profile) error {
	missing := missingPackages(profile, func(file string) bool {
		_, err := os.Stat(file)
		return err == nil
	})
	if len(missing) == 0 {
		return nil
	}
	if err := os.MkdirAll(l.Path("logs"), 0o755); err != nil {
		return err
	}
	log, err := os.Create(l.Log("apt-get"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	for _, args := range [][]string{{"update"}, append([]string{"install", "--yes", "--no-install-recommends"}, missing...)} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		command.Stdout, command.Stderr = log, log
		if err := command.Run(); err != nil {
			return Ended(fmt.Errorf("apt-get %s: %w; install %s by hand", args[0], err, strings.Join(missing, " ")), l.Log("apt-get"))
		}
	}
	return nil
}

// PartForward is the part that holds the ports of the host.
const PartForward = "forward"
