// Command bench measures what the documents claim, prints it as a table and
// writes it to out/bench.json. Ratios are measured side by side in one run.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/e2e/bench/faults"
	"github.com/serin-gitops/serin/e2e/bench/figure"
	"github.com/serin-gitops/serin/e2e/bench/judge"
	"github.com/serin-gitops/serin/e2e/bench/plots"
	"github.com/serin-gitops/serin/e2e/bench/promotion"
	"github.com/serin-gitops/serin/e2e/bench/rest"
	"github.com/serin-gitops/serin/e2e/sandbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// clones are how many of the timed promotions stand beside a git clone, which
// takes a hundred times as long.
const clones = 3

// options of a run.
type options struct {
	only  []string
	out   string
	runs  int
	files int
	times int
	// profile of the sandbox that rest and memory are measured in.
	profile string
}

// part is a group of figures that is measured on its own.
type part struct {
	name    string
	measure func(context.Context, options) ([]figure.Figure, error)
}

var parts = []part{
	{"git", measureGit},
	{"analysis", measureAnalysis},
	{"cost", measureCost},
	{"faults", measureFaults},
	{"rest", measureWorld},
	{"memory", measureWorld},
}

func command() *cobra.Command {
	var o options
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	cmd := &cobra.Command{
		Use:           "bench",
		Short:         "Measure what the documents claim",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.only, "only", names, "the parts to measure")
	flags.StringVar(&o.out, "out", filepath.Join("out", "bench.json"), "the file that the figures are written to")
	flags.IntVar(&o.runs, "runs", judge.Runs, "simulated runs of each cell")
	flags.IntVar(&o.files, "files", 50000, "files in the repository that is promoted into")
	flags.IntVar(&o.times, "times", 9, "promotions that are timed")
	flags.StringVar(&o.profile, "profile", string(sandbox.Light), "the sandbox: light, or full for Gitea, Flux and Traefik")
	cmd.AddCommand(plotsCommand(), promoteCommand(), serveCommand(), sourceCommand())
	return cmd
}

func run(ctx context.Context, o options) error {
	for _, name := range o.only {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("--only: there is no part %q", name)
		}
	}
	var figures []figure.Figure
	for _, p := range parts {
		// One world serves both.
		if !slices.Contains(o.only, p.name) || p.name == "memory" && slices.Contains(o.only, "rest") {
			continue
		}
		fmt.Printf("== %s\n", p.name)
		measured, err := p.measure(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		figures = append(figures, measured...)
	}
	fmt.Println()
	if err := figure.Print(os.Stdout, figures); err != nil {
		return err
	}
	if err := figure.Write(o.out, figures); err != nil {
		return err
	}
	fmt.Printf("\nThe same figures are in %s.\n", o.out)
	return nil
}

func measureGit(ctx context.Context, o options) ([]figure.Figure, error) {
	return promotion.Measure(ctx, promotion.Options{
		Files: o.files, Times: o.times, Clones: clones, Progress: os.Stdout,
		Promoter: func(ctx context.Context, url, store string) *exec.Cmd { return self(ctx, "promote", url, store) },
		Server:   func(ctx context.Context, dir string) *exec.Cmd { return self(ctx, "serve", dir) },
	})
}

func measureAnalysis(ctx context.Context, o options) ([]figure.Figure, error) {
	return judge.Simulate(ctx, o.runs, os.Stdout)
}

func measureCost(ctx context.Context, _ options) ([]figure.Figure, error) {
	return judge.Cost(ctx, startSource, os.Stdout)
}

func measureFaults(ctx context.Context, o options) ([]figure.Figure, error) {
	return faults.Measure(ctx, o.runs, os.Stdout)
}

func measureWorld(ctx context.Context, o options) ([]figure.Figure, error) {
	return rest.Measure(ctx, rest.Options{
		Profile: sandbox.Profile(o.profile), Rest: slices.Contains(o.only, "rest"), Memory: slices.Contains(o.only, "memory"),
		Files: o.files, Progress: os.Stdout,
	})
}

// self runs this program again, as a process whose memory and processor time
// are its own.
func self(ctx context.Context, args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	return exec.CommandContext(ctx, path, args...)
}

func plotsCommand() *cobra.Command {
	var docs string
	var runs int
	cmd := &cobra.Command{
		Use: "plots", Short: "Draw the plots of docs/guarantees.md and write its table, from seeds", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return plots.Document(cmd.Context(), docs, runs, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&docs, "docs", "docs", "the directory of the documents")
	cmd.Flags().IntVar(&runs, "runs", judge.Runs, "simulated runs of each cell")
	return cmd
}

func promoteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "promote URL STORE", Short: "Promote what is read from standard input", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return promotion.Promote(cmd.Context(), args[0], args[1], os.Stdin, os.Stdout)
		},
	}
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve DIR", Short: "Serve Git repositories as Serin does", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return promotion.Serve(cmd.Context(), args[0], os.Stdout)
		},
	}
}

func sourceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "source", Short: "Answer as Prometheus does and count the queries", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return judge.ServeSource(cmd.Context(), os.Stdout) },
	}
}

// startSource starts the counting server as a process of its own.
func startSource(ctx context.Context) (judge.Source, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := self(ctx, "source")
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return judge.Source{}, fmt.Errorf("counting server: %w", err)
	}
	// It is killed by the context; that is no failure.
	stop := func() { cancel(); _ = command.Wait() }
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || address == "" {
		stop()
		return judge.Source{}, fmt.Errorf("counting server gave no address: %w", err)
	}
	return judge.Source{URL: strings.TrimSpace(address), Stop: stop}, nil
}
