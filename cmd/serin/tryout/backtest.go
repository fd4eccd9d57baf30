package tryout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/chart"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/replay"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// backtest is what "serin backtest" is asked.
type backtest struct {
	files        analysisFiles
	source       sourceFlags
	arms         analysis.Arms
	args         map[string]string
	from, to     string
	withoutPast  bool
	out          io.Writer
	now          func() time.Time
	queryTimeout time.Duration
	quiet        bool
}

func backtestCommand() *cobra.Command {
	b := backtest{now: time.Now}
	cmd := &cobra.Command{
		Use:   "backtest -f ROLLOUT --from TIME",
		Short: "Replay a past release from a real Prometheus: when would it have been decided?",
		Long: `Backtest asks a server with the Prometheus API for the series that a past
release left behind, and gives them to the judge of the controller look by look,
with no more than was known at each time. It says when which verdict would have
been given, and what would have become of the release.

What the canary got of the traffic is what it really got; the steps of the
Rollout say when the judge may let it go on. Checks that ask pods are left out.`,
		Example: `  serin backtest -f rollout.yaml --prometheus http://prometheus:9090 \
    --canary 'pod=~"web-6d4cf56db6-.+"' --stable 'pod=~"web-5c8f7d9b44-.+"' \
    --from 2026-03-01T12:00:00Z --to 2026-03-01T12:30:00Z`,
		GroupID: "analysis",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b.out = cmd.OutOrStdout()
			return b.run(cmd.Context(), cmd.InOrStdin(), newProgress(cmd.ErrOrStderr(), b.quiet, b.now))
		},
	}
	b.files.flags(cmd)
	flags := cmd.Flags()
	b.source.flags(flags)
	flags.DurationVar(&b.queryTimeout, "query-timeout", time.Minute, "how long one query may take")
	flags.StringVar(&b.arms.Canary, "canary", "", "PromQL matchers of the canary's series")
	flags.StringVar(&b.arms.Stable, "stable", "", "PromQL matchers of stable's series")
	flags.StringToStringVar(&b.args, "arg", nil, "the value of a placeholder, such as serin.canaryHash=6d4cf56db6")
	flags.StringVar(&b.from, "from", "", "when the canary first got traffic: a time (RFC 3339), or how long ago, such as 2h")
	flags.StringVar(&b.to, "to", "0s", "where the replay ends, as in --from")
	flags.BoolVar(&b.withoutPast, "without-past", false, "do not learn from stable's half hour before about bursts of failures")
	flags.BoolVarP(&b.quiet, "quiet", "q", false, "do not say how far it is")
	_ = cmd.MarkFlagRequired("from") // the flag is defined above
	return cmd
}

// run replays and prints, all of it or nothing.
func (b *backtest) run(ctx context.Context, in io.Reader, far *progress) error {
	tried, err := b.files.read(ctx, in)
	if err != nil {
		return err
	}
	release, err := b.release(tried)
	if err != nil {
		return err
	}
	client, err := b.client(tried)
	if err != nil {
		return err
	}
	result, err := replayed(ctx, client, release, far)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Rollout %s from %s to %s (UTC), a look every %s: %s.\nNot replayed: %s.\n\n", tried.rollout.Name,
		release.From.UTC().Format(time.RFC3339), release.To.UTC().Format(time.RFC3339), release.Interval, describe(release.Steps), strings.Join(tried.left, ", "))
	return b.print(release, result)
}

// replayed replays, and says how far it is.
func replayed(ctx context.Context, source analysis.Source, release replay.Release, far *progress) (replay.Result, error) {
	defer far.end()
	var done replay.Done
	result, err := replay.Run(ctx, source, release, func(d replay.Done) {
		done = d
		far.tell(func() string {
			return fmt.Sprintf("replayed %d of at most %d looks, %d answers of the source", d.Looks, d.Most, d.Answers)
		})
	})
	if err != nil && ctx.Err() != nil {
		return result, fmt.Errorf("interrupted after %d looks; the replay is not printed: %w", done.Looks, ctx.Err())
	}
	return result, err
}

func (b *backtest) release(t tried) (replay.Release, error) {
	now := b.now()
	from, err := instant("--from", b.from, now)
	if err != nil {
		return replay.Release{}, err
	}
	to, err := instant("--to", b.to, now)
	if err != nil {
		return replay.Release{}, err
	}
	for _, check := range t.spec.Checks {
		if check.Kind != analysis.KindThreshold && ownArms(check) == nil && (b.arms.Canary == "" || b.arms.Stable == "") {
			return replay.Release{}, fmt.Errorf("check %s has no arms: say which series are whose by --canary and --stable", check.Name)
		}
	}
	args := analysisrun.Args(t.rollout)
	maps.Copy(args, b.args)
	r := replay.Release{
		Spec: t.spec, Steps: t.steps, Trial: observe.Trial{Arms: b.arms, Args: args}, From: from, To: to,
		Interval: analysis.DefaultInterval, Past: analysisrun.Learnt, Deadline: t.deadline(),
	}
	if b.withoutPast {
		r.Past = 0
	}
	var errs []error
	for _, check := range t.spec.Checks {
		r.Interval = check.Interval
		if err := observe.Check(check, r.Trial); err != nil {
			errs = append(errs, fmt.Errorf("check %s: %w", check.Name, err))
		}
	}
	return r, errors.Join(errs...)
}

func ownArms(check analysis.Check) *analysis.Arms {
	switch {
	case check.Ratio != nil:
		return check.Ratio.Arms
	case check.Latency != nil:
		return check.Latency.Arms
	}
	return nil
}

// instant reads a time, or how long ago one was.
func instant(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("%s %q is neither a time such as 2026-03-01T12:00:00Z nor how long ago, such as 2h", flag, text)
	}
	return now.Add(-ago), nil
}

func (b *backtest) client(t tried) (*prometheus.Client, error) {
	o, err := b.source.options(t.rollout.Spec.Analysis.Source)
	if err != nil {
		return nil, err
	}
	o.Timeout = b.queryTimeout
	return prometheus.New(o)
}

func (b *backtest) print(r replay.Release, result replay.Result) error {
	table := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tAFTER\tSTEP\tWEIGHT\tVERDICT\tBECAUSE")
	for _, e := range result.Events {
		fmt.Fprintf(table, "%s\t%s\t%d/%d\t%g%%\t%s\t%s\n", e.At.UTC().Format(time.TimeOnly), e.At.Sub(r.From).Round(time.Second),
			e.Step+1, len(r.Steps), e.Weight, e.Outcome, e.Message)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	last := result.Events[len(result.Events)-1]
	when := fmt.Sprintf("at %s, %s after the begin, in step %d/%d", result.Ended.UTC().Format(time.RFC3339), result.Ended.Sub(r.From).Round(time.Second), last.Step+1, len(r.Steps))
	switch result.Ending {
	case replay.Undecided:
		fmt.Fprintf(b.out, "\nIt would still be undecided %s: %s\n\n", when, result.Verdict.Message)
	default:
		fmt.Fprintf(b.out, "\nIt would have been %s %s: %s\n\n", result.Ending, when, last.Message)
	}
	return chart.Write(b.out, result.State, result.Verdict)
}
