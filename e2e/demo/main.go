// Command demo shows Serin's main job on a real cluster: it brings the sandbox
// up, tells the story and prints what it measured.
package main

import (
	"context"
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
	var profile, kubeconfig string
	cmd := &cobra.Command{
		Use:           "demo",
		Short:         "Tell the story of a good release and three bad ones on a real cluster",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), world.Options{Profile: sandbox.Profile(profile), Kubeconfig: kubeconfig, Progress: os.Stdout}, os.Getenv("DEMO_KEEP") != "")
		},
	}
	cmd.Flags().StringVar(&profile, "profile", string(sandbox.Light), "light, or full for Gitea, Flux and Traefik")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "an existing cluster to use, and not a sandbox")
	return cmd
}

// run tells the story; the sandbox is taken down after it unless keep is set.
func run(ctx context.Context, options world.Options, keep bool) (err error) {
	started := time.Now()
	fmt.Println("Bringing up a cluster with Serin in it. The first time on a machine this builds Kubernetes: about 10 minutes.")
	if !keep && options.Kubeconfig == "" {
		defer func() {
			down, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			defer cancel()
			if e := sandbox.Down(down, sandbox.Options{Progress: os.Stdout}); e != nil && err == nil {
				err = e
			}
		}()
	}
	w, err := world.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = w.Git.Close() }()
	fmt.Printf("The cluster is up after %.0f s. The story takes about 5 minutes:\n\n", time.Since(started).Seconds())
	figures, err := story.Tell(ctx, w, os.Stdout)
	if err != nil {
		return fmt.Errorf("the story did not go the way it should: %w", err)
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
		fmt.Printf("It stays up: KUBECONFIG=%s, Prometheus %s. make sandbox-down ends it.\n", w.Kubeconfig, w.PrometheusURL)
	}
	return nil
}
