// Command sandbox runs a real Kubernetes cluster on this machine without
// Docker; see package sandbox for what it holds and what it needs.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/bootstrap"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/discovery"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	options := &sandbox.Options{Progress: os.Stderr}
	root := &cobra.Command{
		Use: "sandbox", Short: "A real Kubernetes cluster on this machine, without Docker",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&options.CacheDir, "cache", "", "directory of builds and state (default $SERIN_CACHE, else .cache in the repository)")
	root.AddCommand(upCommand(options), downCommand(options), statusCommand(options), buildCommand(options), partCommand(options), serveCommand())
	return root
}

func profileFlag(c *cobra.Command, options *sandbox.Options) {
	c.Flags().StringVar((*string)(&options.Profile), "profile", string(sandbox.Light), "light, or full for Gitea, Flux and Traefik as well")
}

func upCommand(options *sandbox.Options) *cobra.Command {
	c := &cobra.Command{Use: "up", Short: "Bring the sandbox up; what runs is kept", Args: cobra.NoArgs}
	profileFlag(c, options)
	c.Flags().StringVar(&options.Kubeconfig, "kubeconfig", "", "use the existing cluster of this file instead")
	c.RunE = func(c *cobra.Command, _ []string) error {
		started := time.Now()
		cluster, err := sandbox.Up(c.Context(), *options)
		if err != nil {
			return err
		}
		fmt.Printf("kubeconfig  %s\n", cluster.Kubeconfig)
		if cluster.PrometheusURL != "" {
			fmt.Printf("kubectl     %s\nPrometheus  %s\nregistry    %s (in the cluster: %s)\n",
				cluster.Kubectl, cluster.PrometheusURL, cluster.BootstrapRegistry, sandbox.BootstrapPrefix)
		}
		if cluster.Gitea.URL != "" {
			fmt.Printf("Gitea       %s as %s (in the cluster: %s)\ngateway     %s (in the cluster: %s)\n",
				cluster.Gitea.URL, cluster.Gitea.User, cluster.Gitea.ClusterURL, cluster.GatewayURL, cluster.Gateway)
		}
		return printUp(os.Stdout, *options, cluster, time.Since(started))
	}
	return c
}

// printUp says what a start took, in time and in memory.
func printUp(out io.Writer, options sandbox.Options, cluster *sandbox.Cluster, took time.Duration) error {
	if cluster.PrometheusURL == "" {
		return nil // an existing cluster: nothing was started
	}
	resident, err := sandbox.Resident(options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "up          after %.1f s, %s resident\n", took.Seconds(), mebibytes(resident))
	return err
}

func downCommand(options *sandbox.Options) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the sandbox and remove it from the machine; builds are kept", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return sandbox.Down(c.Context(), *options) },
	}
}

func buildCommand(options *sandbox.Options) *cobra.Command {
	c := &cobra.Command{Use: "build", Short: "Build what a profile needs and start nothing", Args: cobra.NoArgs}
	c.Flags().StringVar((*string)(&options.Profile), "profile", string(sandbox.Light), "light, full, or servers for the metric servers that make servers tries")
	c.RunE = func(c *cobra.Command, _ []string) error { return sandbox.Build(c.Context(), *options) }
	return c
}

func statusCommand(options *sandbox.Options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "List the parts and whether each runs", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := sandbox.Status(*options)
			if err != nil {
				return err
			}
			processes, resident, err := sandbox.Pods(*options)
			if err != nil {
				return err
			}
			return printStatus(os.Stdout, all, processes, resident)
		},
	}
}

// printStatus fails where a part does not run.
func printStatus(out io.Writer, all []sandbox.PartStatus, processes int, pods uint64) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	down, sum := 0, pods
	for _, one := range all {
		state, memory := fmt.Sprintf("running, pid %d", one.PID), mebibytes(one.Resident)
		if !one.Running {
			state, memory = "not running", ""
			down++
		}
		sum += one.Resident
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.Name, state, memory, one.Log)
	}
	fmt.Fprintf(table, "pods\t%d processes\t%s\t\n", processes, mebibytes(pods))
	fmt.Fprintf(table, "all\t%d of %d parts run\t%s\tresident\n", len(all)-down, len(all), mebibytes(sum))
	if err := table.Flush(); err != nil {
		return err
	}
	if down > 0 {
		return fmt.Errorf("%d of %d parts do not run", down, len(all))
	}
	return nil
}

func mebibytes(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

func partCommand(options *sandbox.Options) *cobra.Command {
	act := func(use, short string, do func(*sandbox.Cluster, context.Context, string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			cluster, err := sandbox.Open(options.CacheDir)
			if err != nil {
				return err
			}
			return do(cluster, c.Context(), args[0])
		}}
	}
	c := &cobra.Command{Use: "part", Short: "Kill or start a single part"}
	c.AddCommand(
		act("kill NAME", "End a part as a crash would", (*sandbox.Cluster).KillPart),
		act("start NAME", "Start a part and wait until it is ready", (*sandbox.Cluster).StartPart),
	)
	return c
}

// serveCommand holds the sandbox's own background parts.
func serveCommand() *cobra.Command {
	c := &cobra.Command{Use: "serve", Short: "Run a background part in the foreground", Hidden: true}
	c.AddCommand(
		&cobra.Command{Use: "forward", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return netns.ServeForwards(c.Context())
		}},
		&cobra.Command{Use: "discovery KUBECONFIG FILE", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
			return discovery.Serve(c.Context(), args[0], args[1])
		}},
		&cobra.Command{Use: "registry DIR", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
			return bootstrap.Serve(c.Context(), args[0])
		}},
	)
	return c
}
