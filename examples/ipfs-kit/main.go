// Ipfs-kit is the example workload of Serin: a small cluster of libp2p peers,
// masters with a lasting identity and workers that join them, which serves HTTP.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/serin-gitops/serin/examples/ipfs-kit/internal/config"
	"github.com/serin-gitops/serin/examples/ipfs-kit/internal/server"
	"github.com/serin-gitops/serin/examples/ipfs-kit/internal/swarm"
)

// Set by -ldflags "-X main.version=v1.2.3 -X main.variant=good".
var (
	version = "dev"
	variant = "good"
)

const shutdownTimeout = 5 * time.Second

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := command(ctx, log, os.Args[1:])
	stop()
	if err != nil {
		log.Error("ipfs-kit ends", "version", version, "error", err)
		os.Exit(1)
	}
}

// command runs what the arguments ask for: nothing means to serve.
func command(ctx context.Context, log *slog.Logger, arguments []string) error {
	switch {
	case len(arguments) == 0:
		return run(ctx, log, os.LookupEnv)
	case len(arguments) == 3 && arguments[0] == "own-volume":
		return ownVolume(arguments[1], arguments[2])
	default:
		return fmt.Errorf("arguments %q: give none to serve, or own-volume DIRECTORY UID", arguments)
	}
}

// ownVolume gives directory to a user, as an init container of root does for
// volumes to which the kubelet does not apply fsGroup.
func ownVolume(directory, user string) error {
	uid, err := strconv.Atoi(user)
	if err != nil {
		return fmt.Errorf("own-volume: UID %q is not a number", user)
	}
	if err := os.Chown(directory, uid, uid); err != nil {
		return fmt.Errorf("own-volume: %w", err)
	}
	return nil
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, log *slog.Logger, environment func(string) (string, bool)) error {
	kind, err := server.ParseVariant(variant)
	if err != nil {
		return err
	}
	settings, err := config.Load(environment)
	if err != nil {
		return err
	}
	node, err := startNode(settings)
	if err != nil {
		return err
	}
	defer func() { _ = node.Close() }()

	api := server.New(server.Options{
		Pod: settings.Pod, Version: version, Role: string(settings.Role),
		Variant: kind, WorkKiB: settings.Settings.WorkKiB,
	}, node)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", settings.HTTPAddress)
	if err != nil {
		return fmt.Errorf("listen on HTTP_ADDRESS %s: %w", settings.HTTPAddress, err)
	}
	if len(settings.Masters) > 0 && kind.Joins() {
		go swarm.NewJoiner(node, settings.Masters, log).Run(ctx, settings.Settings.RejoinInterval())
	}
	log.Info("ipfs-kit serves", "version", version, "role", settings.Role, "pod", settings.Pod,
		"peer", node.Identity().ID, "http", listener.Addr().String())
	return serve(ctx, api, listener, kind.Lifetime(), settings.Settings.DrainTime())
}

func startNode(settings config.Config) (*swarm.Node, error) {
	options := swarm.Options{
		Agent: swarm.Agent(version, string(settings.Role)), Listen: settings.SwarmAddress, Secret: settings.Secret,
	}
	if settings.Role == config.Master {
		key, err := swarm.LoadIdentity(settings.DataDirectory)
		if err != nil {
			return nil, err
		}
		options.Identity = key
	}
	return swarm.New(options)
}

// serve answers until ctx ends, then goes on for drain, not ready, and ends
// once the last request is answered. A lifetime above zero ends it with an
// error.
func serve(ctx context.Context, api *server.Server, listener net.Listener, lifetime, drain time.Duration) error {
	web := &http.Server{Handler: api, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	var end <-chan time.Time
	if lifetime > 0 {
		end = time.After(lifetime)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-end:
		return errors.New("the block store is corrupt")
	case <-ctx.Done():
	}
	api.Drain()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-time.After(drain):
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := web.Shutdown(last); err != nil {
		return fmt.Errorf("requests were still running %s after the end: %w", shutdownTimeout, err)
	}
	return nil
}
