// Command demo shows Serin's main job on a real cluster: it brings the sandbox
// up, tells the story and prints what it measured.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/story"
	"github.com/serin-gitops/serin/e2e/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var profile string
	options := world.Options{Progress: os.Stdout}
	cmd := &cobra.Command{
		Use:           "demo",
		Short:         "Tell the story of a good release and three bad ones on a real cluster",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Profile = sandbox.Profile(profile)
			return run(cmd.Context(), options, os.Getenv("DEMO_KEEP") != "")
		},
	}
	cmd.Flags().StringVar(&profile, "profile", string(sandbox.Light), "light, or full for Gitea, Flux and Traefik")
	cmd.Flags().StringVar(&options.Kubeconfig, "kubeconfig", "", "an existing cluster to use, and not a sandbox")
	cmd.Flags().StringVar(&options.Registry, "registry", "", "host and path that an existing cluster pulls images from, without a login")
	cmd.Flags().StringVar(&options.RegistryPush, "registry-push", "", "the same by its name here, where that is another")
	cmd.Flags().StringVar(&options.Prometheus, "prometheus", "", "the existing cluster's Prometheus as pods reach it; else http://prometheus.monitoring:9090")
	return cmd
}

// run tells the story; the sandbox is taken down after it, or an existing cluster
// cleared, unless keep is set.
func run(ctx context.Context, options world.Options, keep bool) (err error) {
	started := time.Now()
	end := leave
	if options.Kubeconfig == "" {
		// What this machine lacks is told before anything is begun.
		if err := sandbox.Check(sandbox.Options{Profile: options.Profile}); err != nil {
			return err
		}
		fmt.Println("Bringing up a cluster with Serin in it. The first time on a machine this builds Kubernetes: 5 to 10 minutes on 2 cores.")
		end = takeDown
	} else {
		fmt.Printf("Bringing Serin to the cluster of %s.\n", options.Kubeconfig)
	}
	if keep {
		end = letGo
	}
	w, err := world.Start(ctx, options)
	defer func() { err = errors.Join(err, end(ctx, w)) }()
	if err != nil {
		return explain(ctx, w, err)
	}
	fmt.Printf("The cluster is up after %.0f s%s. The story takes 4 to 6 minutes:\n\n", time.Since(started).Seconds(), holds(w))
	figures, err := story.Tell(ctx, w, os.Stdout)
	if err != nil {
		return explain(ctx, w, fmt.Errorf("the story did not go the way it should: %w", err))
	}
	if err := figures.Print(os.Stdout); err != nil {
		return err
	}
	path := filepath.Join(w.Builder.Root, "out", "demo.json")
	if err := figures.Write(path); err != nil {
		return err
	}
	fmt.Printf("\nThe same figures are in out/demo.json. It took %.0f s in all.\n", time.Since(started).Seconds())
	if keep {
		fmt.Printf("It stays up: KUBECONFIG=%s%s\n", w.Kubeconfig, howToEnd(w))
	}
	return nil
}

// holds says how much memory a sandbox takes, of which nothing is known elsewhere.
func holds(w *world.World) string {
	resident, err := sandbox.Resident(sandbox.Options{})
	if w.PrometheusURL == "" || err != nil {
		return ""
	}
	return fmt.Sprintf(" and holds %d MiB of memory", resident>>20)
}

// explain keeps what the cluster says before it is gone, and adds to the error
// where that is.
func explain(ctx context.Context, w *world.World, err error) error {
	if w == nil || ctx.Err() != nil {
		return err
	}
	if w.PrometheusURL != "" {
		if troubles := sandbox.Troubles(sandbox.Options{}); troubles != "" {
			err = fmt.Errorf("%w: %s", err, troubles)
		}
	}
	path := filepath.Join(w.Builder.Root, "out", "demo-failed.txt")
	if problem := w.Look(ctx, path); problem != nil {
		return errors.Join(err, problem)
	}
	return fmt.Errorf("%w (Serin's log and the cluster's objects are in %s)", err, path)
}

// howToEnd says where to look on, and how to end it.
func howToEnd(w *world.World) string {
	if w.PrometheusURL == "" {
		return ". The next demo removes it, unless DEMO_KEEP is set then too."
	}
	return fmt.Sprintf(", Prometheus %s. make sandbox-down ends it.", w.PrometheusURL)
}

// letGo ends what reaches into the cluster, and lets that be.
func letGo(_ context.Context, w *world.World) error {
	if w == nil {
		return nil // the cluster was not reached
	}
	return w.Close()
}

// takeDown ends the sandbox, also after an interrupt. What still reads from it would
// complain that it is gone.
func takeDown(ctx context.Context, w *world.World) error {
	return errors.Join(letGo(ctx, w), sandbox.DownAtLast(ctx, sandbox.Options{Progress: os.Stdout}))
}

// leave removes from an existing cluster what the demo made in it.
func leave(ctx context.Context, w *world.World) error {
	if w == nil {
		return nil // the cluster was not reached
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	fmt.Println("Removing what the demo made in the cluster.")
	return errors.Join(w.Remove(ctx), letGo(ctx, w))
}
