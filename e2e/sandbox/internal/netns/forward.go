package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// forward leads connections from one address to another inside the sandbox.
type forward struct {
	// Listen is on the host's loopback, or inside the sandbox when inside is set.
	listen string
	inside bool
	// target is an address inside the sandbox.
	target string
}

// forwards of both profiles: where nothing listens behind one, a connection is
// closed at once, as it would be without it.
func forwards() []forward {
	loopback := func(port int) string { return layout.HostPort("127.0.0.1", port) }
	node := func(port int) string { return layout.HostPort(layout.NodeAddress, port) }
	return []forward{
		{listen: loopback(layout.APIPort), target: loopback(layout.APIPort)},
		{listen: loopback(layout.HostPrometheusPort), target: node(9090)},
		{listen: loopback(layout.HostBootstrapPort), target: node(layout.BootstrapPort)},
		{listen: loopback(layout.HostGiteaPort), target: node(layout.GiteaPort)},
		{listen: loopback(layout.HostGatewayPort), target: node(layout.GatewayPort)},
		{listen: node(layout.RegistryPort), inside: true, target: node(layout.RegistryNode)},
	}
}

// HostAddresses lists what ServeForwards listens on outside the sandbox.
func HostAddresses() []string {
	var addresses []string
	for _, one := range forwards() {
		if !one.inside {
			addresses = append(addresses, one.listen)
		}
	}
	return addresses
}

// ServeForwards runs the sandbox's forwards until ctx ends. It is what the part
// "forward" of the sandbox does.
func ServeForwards(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range forwards() {
		open := Listen
		if !one.inside {
			open = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
		}
		listener, err := open(one.listen)
		if err != nil {
			return fmt.Errorf("forward of %s: %w", one.listen, err)
		}
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		group.Go(func() error { return serveForward(ctx, listener, one.target) })
	}
	return group.Wait()
}

// serveForward accepts connections until the listener closes.
func serveForward(ctx context.Context, listener net.Listener, target string) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			if err := carry(ctx, conn, target); err != nil {
				log.Printf("forward to %s: %v", target, err)
			}
		}()
	}
}

// carry copies both directions, passing on each side's end of input.
func carry(ctx context.Context, from net.Conn, target string) error {
	defer func() { _ = from.Close() }()
	to, err := DialIP(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			// An error here is a peer that went away, which is how connections end.
			_, _ = io.Copy(pair[0], pair[1])
			if half, ok := pair[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
	return nil
}
