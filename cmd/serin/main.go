// Command serin is the controller and the command line for people: it brings
// new images through environments by way of Git, with canaries.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/cmd/serin/people"
)

// version is set by the linker.
var version = "dev"

// built is the version, or the module's where the linker was not told one, as by
// "go install ...@v1.2.3".
func built() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "dev" && strings.HasPrefix(info.Main.Version, "v") {
		return info.Main.Version
	}
	return version
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "serin:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serin",
		Short: "GitOps promotion with canaries: from a pushed image to production, and back",
		Long: `Serin takes a container image from the moment it is pushed to the moment all
of production runs it, through Git, and takes it back when it is bad.

"serin controller" runs in the cluster; the other commands are for people and
need the same rights as "kubectl annotate" on the object they name.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       built(),
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; \"%s --help\" lists the flags", err, cmd.CommandPath())
	})
	cmd.AddGroup(
		&cobra.Group{ID: "watch", Title: "See what happens:"},
		&cobra.Group{ID: "decide", Title: "Decide:"},
		&cobra.Group{ID: "analysis", Title: "Try an analysis:"},
		&cobra.Group{ID: "run", Title: "Run:"},
	)
	cmd.AddCommand(controllerCommand())
	cmd.AddCommand(people.Status())
	cmd.AddCommand(people.Requests()...)
	cmd.AddCommand(analysisCommands()...)
	return cmd
}
