// Load sends a bounded load to a private address and serves its counts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/serin-gitops/serin/e2e/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run sends the load and goes on serving its counts for the time to linger.
func run(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var options load.Options
	flags.StringVar(&options.URL, "url", "", "what to request, such as http://ipfs-worker.ipfs-prod/work")
	flags.Float64Var(&options.Rate, "rate", 50, "requests per second")
	flags.DurationVar(&options.Duration, "duration", 0, "stop after this time")
	flags.IntVar(&options.Count, "count", 0, "stop after this many requests")
	flags.DurationVar(&options.Timeout, "timeout", 5*time.Second, "time-out of one request")
	listen := flags.String("listen", ":8090", "address to serve /stats and /metrics at")
	linger := flags.Duration("linger", 10*time.Minute, "go on serving the counts this long after the load")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	generator, err := load.New(options)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", *listen, err)
	}
	server := &http.Server{Handler: generator.Handler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	generator.Run(ctx)
	select {
	case err := <-failed:
		return fmt.Errorf("serve the counts: %w", err)
	case <-ctx.Done():
	case <-time.After(*linger):
	}
	return server.Close()
}
