// Package netns is the network namespace of the sandbox: making it, running in it
// and reaching into it.
package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// netnsPath is where ip(8) binds the namespace.
const netnsPath = "/var/run/netns/" + layout.NetNS

// The node's address is on a bridge; nothing is behind the gateway.
const (
	nodePrefix  = "24"
	nodeGateway = "10.77.0.1"
	nodeLink    = "node0"
)

// inNetNS calls fn on a thread that has entered the sandbox's network
// namespace. Sockets that fn makes stay in the namespace and may be used from
// anywhere afterwards; fn must not hand work to other goroutines.
func inNetNS(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := enterNetNS(fn)
		if !errors.Is(err, errThreadLost) {
			runtime.UnlockOSThread()
		}
		// A thread that could not return stays locked and dies with this goroutine.
		done <- err
	}()
	return <-done
}

// errThreadLost says that a thread could not return to the host's namespace.
var errThreadLost = errors.New("cannot return to the host's network namespace")

func enterNetNS(fn func() error) error {
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }()
	target, err := os.Open(netnsPath)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w (is the sandbox up?)", layout.NetNS, err)
	}
	defer func() { _ = target.Close() }()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w (root is needed)", layout.NetNS, err)
	}
	err = fn()
	if back := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, errThreadLost, back)
	}
	return err
}

// Dial connects to an IP address inside the sandbox, or to one of its names.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	ip, err := resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return DialIP(ctx, network, net.JoinHostPort(ip, port))
}

// DialIP connects to a literal address. With one address and no fallback the
// net package makes the socket on the calling thread, which inNetNS relies on.
func DialIP(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := inNetNS(func() (err error) {
		dialer := net.Dialer{FallbackDelay: -1}
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a TCP listener inside the sandbox.
func Listen(address string) (net.Listener, error) {
	var listener net.Listener
	err := inNetNS(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

// resolve turns a host name into an address with the cluster's own DNS.
// "NAME.NAMESPACE.svc" is completed with the cluster's domain.
func resolve(ctx context.Context, host string) (string, error) {
	if net.ParseIP(host) != nil {
		return host, nil
	}
	if host == "localhost" {
		return "127.0.0.1", nil
	}
	if slices.Contains(layout.LocalNames, host) {
		return layout.NodeAddress, nil
	}
	if strings.HasSuffix(host, ".svc") {
		host += ".cluster.local"
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return DialIP(ctx, network, net.JoinHostPort(layout.NodeAddress, "53"))
	}}
	addresses, err := resolver.LookupHost(ctx, strings.TrimSuffix(host, ".")+".")
	if err != nil {
		return "", fmt.Errorf("look up %s in the cluster's DNS: %w", host, err)
	}
	return addresses[0], nil
}

// Ready tells whether the namespace exists and carries the node's address.
func Ready(ctx context.Context) bool {
	if _, err := os.Stat(netnsPath); err != nil {
		return false
	}
	out, err := exec.CommandContext(ctx, "ip", "-n", layout.NetNS, "-o", "address", "show", "dev", nodeLink).CombinedOutput()
	return err == nil && strings.Contains(string(out), " "+layout.NodeAddress+"/")
}

// Make creates the namespace with the node's address on a bridge (a
// bridge because not every kernel has dummy links). The default route leads
// into that bridge: Kubernetes wants one, and nothing is behind it.
func Make(ctx context.Context) error {
	steps := [][]string{
		{"ip", "netns", "add", layout.NetNS},
		{"ip", "-n", layout.NetNS, "link", "set", "lo", "up"},
		{"ip", "-n", layout.NetNS, "link", "add", nodeLink, "type", "bridge"},
		{"ip", "-n", layout.NetNS, "address", "add", layout.NodeAddress + "/" + nodePrefix, "dev", nodeLink},
		{"ip", "-n", layout.NetNS, "link", "set", nodeLink, "up"},
		{"ip", "-n", layout.NetNS, "route", "add", "default", "via", nodeGateway, "dev", nodeLink},
		Enter("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
	}
	for _, step := range steps {
		if out, err := exec.CommandContext(ctx, step[0], step[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(step, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Remove deletes the namespace and with it every interface in it.
func Remove(ctx context.Context) error {
	if _, err := os.Stat(netnsPath); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "ip", "netns", "delete", layout.NetNS).CombinedOutput(); err != nil {
		// After a crash the file may be there without the namespace behind it.
		if removeErr := os.Remove(netnsPath); removeErr != nil {
			return fmt.Errorf("delete network namespace %s: %w: %s", layout.NetNS, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Enter prefixes a command so that it runs inside the namespace. Not `ip netns
// exec`: that remounts /sys and would hide the cgroups from the kubelet.
func Enter(argv ...string) []string {
	return append([]string{"nsenter", "--net=" + filepath.Clean(netnsPath), "--"}, argv...)
}

// WithResolver prefixes a command so that it sees another /etc/resolv.conf, in
// a mount namespace of its own that ends with it.
func WithResolver(file string, argv ...string) []string {
	const script = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	return append([]string{"unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, file}, argv...)
}
