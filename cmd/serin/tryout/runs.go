// Package tryout has the commands that try an analysis before it is trusted, on
// made-up traffic or on a past release, and that look at a trial after.
package tryout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/chart"
	"github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/cmd/serin/people"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// Cluster is how a command reaches the cluster that its flags name.
type Cluster interface {
	// Flags adds the flags to a command.
	Flags(cmd *cobra.Command)
	// Open gives a client and the namespace that is meant.
	Open() (c client.Client, namespace string, err error)
}

// Commands are simulate, backtest and analysis; they are in the group
// "analysis".
func Commands(newCluster func() Cluster) []*cobra.Command {
	group := &cobra.Command{
		Use: "analysis", Short: "Look at what was measured in a trial, and judge it again", GroupID: "analysis",
		// Without these, an unknown subcommand prints the help and succeeds.
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(
		runCommand(newCluster(), "show", "Draw a trial: counts of both revisions, evidence, verdicts", show),
		runCommand(newCluster(), "rejudge", "Judge the record of a trial again; fails where the verdict differs in one bit", rejudge))
	return []*cobra.Command{simulateCommand(), backtestCommand(), group}
}

// runCommand is a command about one AnalysisRun, of the cluster or of a file.
func runCommand(cluster Cluster, use, short string, act func(*v1alpha1.AnalysisRun, io.Writer) error) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: use + " [RUN]", Short: short, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (file != "") {
				return errors.New("name an AnalysisRun, or a file with one by --file")
			}
			var run *v1alpha1.AnalysisRun
			var err error
			if file != "" {
				run, err = runOf(cmd.Context(), file, cmd.InOrStdin())
			} else {
				run, err = runIn(cmd.Context(), cluster, args[0])
			}
			if err != nil {
				return err
			}
			return act(run, cmd.OutOrStdout())
		},
	}
	cluster.Flags(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", `a file with the AnalysisRun, as "kubectl get analysisrun RUN -o yaml" prints it; - is the standard input`)
	return cmd
}

func runOf(ctx context.Context, file string, in io.Reader) (*v1alpha1.AnalysisRun, error) {
	var found documents
	if err := found.read(ctx, file, in); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(found.runs) != 1 {
		return nil, fmt.Errorf("%s holds %d AnalysisRuns; give exactly one", file, len(found.runs))
	}
	return &found.runs[0], nil
}

func runIn(ctx context.Context, cluster Cluster, name string) (*v1alpha1.AnalysisRun, error) {
	c, namespace, err := cluster.Open()
	if err != nil {
		return nil, err
	}
	run := &v1alpha1.AnalysisRun{}
	key := client.ObjectKey{Namespace: namespace, Name: name}
	return run, people.Named(c.Get(ctx, key, run), "AnalysisRun", key)
}

// show draws a run.
func show(run *v1alpha1.AnalysisRun, out io.Writer) error {
	state, verdict, err := recorded(run)
	if err != nil {
		return err
	}
	var completed time.Time
	if run.Status.Completed != nil {
		completed = run.Status.Completed.Time
	}
	fmt.Fprintf(out, "AnalysisRun %s/%s: trial %d of Rollout %s\n", run.Namespace, run.Name, run.Spec.Trial, run.Spec.Rollout)
	fmt.Fprintf(out, "  from %s\n", chart.Span(state.Started, completed))
	fmt.Fprintf(out, "  %s: %s\n\n", cmp.Or(run.Status.Verdict, "no verdict yet"), run.Status.Message)
	return chart.Write(out, state, verdict)
}

// recorded is what a run holds. The record says more than the status, so its
// verdict is given again.
func recorded(run *v1alpha1.AnalysisRun) (analysis.State, analysis.Verdict, error) {
	again, err := judgedAgain(run)
	if err != nil || !again.Full {
		return again.State, again.Verdict, err
	}
	var state analysis.State
	text, err := record.Unpack(run.Status.State)
	if err == nil {
		err = json.Unmarshal([]byte(text), &state)
	}
	if err != nil {
		return state, analysis.Verdict{}, fmt.Errorf("AnalysisRun %s/%s: status.state: %w", run.Namespace, run.Name, err)
	}
	var last time.Time
	for _, c := range state.Checks {
		if c.Through.After(last) {
			last = c.Through
		}
	}
	_, verdict := analysis.Judge(again.Spec, state, nil, last)
	return state, verdict, nil
}

func judgedAgain(run *v1alpha1.AnalysisRun) (record.Rejudged, error) {
	if run.Status.Record == "" {
		return record.Rejudged{}, fmt.Errorf("AnalysisRun %s/%s has no record yet: nothing was looked at", run.Namespace, run.Name)
	}
	again, err := record.Rejudge(run.Status.Record)
	if err != nil {
		return again, fmt.Errorf("AnalysisRun %s/%s: status.record: %w", run.Namespace, run.Name, err)
	}
	return again, nil
}

// rejudge fails where the record does not lead to the verdict that was given.
func rejudge(run *v1alpha1.AnalysisRun, out io.Writer) error {
	again, err := judgedAgain(run)
	if err != nil {
		return err
	}
	name := run.Namespace + "/" + run.Name
	if again.Full {
		return fmt.Errorf("AnalysisRun %s: the record had no room for the last looks, so the verdict cannot be compared; at its end it was %s: %s", name, again.Verdict.Outcome, again.Verdict.Message)
	}
	state, err := json.Marshal(again.State)
	if err != nil {
		return fmt.Errorf("AnalysisRun %s: %w", name, err)
	}
	given, err := record.Unpack(run.Status.State)
	if err != nil {
		return fmt.Errorf("AnalysisRun %s: status.state: %w", name, err)
	}
	if string(state) != given {
		return fmt.Errorf("AnalysisRun %s: the record leads to another state than the one in status.state: was one of them edited, or judged by another version of Serin?", name)
	}
	if was, is := statedBy(run), verdictOf(again.Verdict); was != is && was != verdictOf(analysisrun.BeforeTraffic(again.Verdict)) {
		return fmt.Errorf("AnalysisRun %s: the verdict differs: it was %s; it is %s", name, was, is)
	}
	if !slices.Equal(run.Status.Checks, analysisrun.Checks(again.Verdict)) {
		return fmt.Errorf("AnalysisRun %s: the verdict is the same and the checks differ: they were %+v; they are %+v", name, run.Status.Checks, analysisrun.Checks(again.Verdict))
	}
	fmt.Fprintf(out, "AnalysisRun %s: the same verdict, bit for bit: %s\n", name, statedBy(run))
	return nil
}

func statedBy(run *v1alpha1.AnalysisRun) string {
	return run.Status.Verdict + ": " + run.Status.Message
}

func verdictOf(v analysis.Verdict) string { return string(v.Outcome) + ": " + v.Message }
