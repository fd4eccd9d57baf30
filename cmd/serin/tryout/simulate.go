package tryout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// stablePods are scraped beside one pod of the canary.
const stablePods = 3

// simulation is what "serin simulate" is asked.
type simulation struct {
	files           analysisFiles
	check, scenario string
	traffic         simulate.Traffic
	canaries        []float64
	runs            int
	seed            uint64
	scrape          time.Duration
	plain           simulate.PlainRule
	accepted        []int
	// plainStep is how long a plain rule keeps a weight that the Rollout keeps
	// until there is evidence; 0 for as long as the step says.
	plainStep time.Duration
	quiet     bool
}

// plainStepDefault is the length of such a step where it names no longest time.
const plainStepDefault = 5 * time.Minute

func simulateCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "simulate -f ROLLOUT",
		Short: "Try an analysis on made-up traffic, beside plain threshold rules",
		Long: `Simulate puts made-up traffic before the judge of the controller, many times
over, with the steps and the analysis of a Rollout. It shows how often a good
canary would be rolled back, how soon a bad one, what that costs, and how long
a good one takes. Plain rules ("99% of the requests of the last minute are
good") are given the same traffic. They know no evidence: a step until evidence
lasts for its longest time with them, or for 5 minutes where it has none, or as
--plain-step says.

The same seed gives the same table. How far a long simulation is, is said at
the standard error; one that is interrupted prints no table.`,
		Example: `  serin simulate -f rollout.yaml --template analysis.yaml --scenario bursts
  serin simulate -f rollout.yaml --requests-per-second 5 --canary-failures 0.02,0.1`,
		GroupID: "analysis",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr(), s.quiet, time.Now))
		},
	}
	s.files.flags(cmd)
	s.flags(cmd)
	return cmd
}

func (s *simulation) flags(cmd *cobra.Command) {
	var names []string
	for _, shape := range simulate.Shapes() {
		names = append(names, shape.Name)
	}
	flags := cmd.Flags()
	flags.StringVar(&s.check, "check", "", "the ratio or latency check that sees the traffic (default: the first one)")
	flags.StringVar(&s.scenario, "scenario", "independent", "the kind of traffic: "+strings.Join(names, ", "))
	flags.Float64Var(&s.traffic.RequestsPerSecond, "requests-per-second", 100, "requests a second over both revisions")
	flags.Float64Var(&s.traffic.Baseline, "stable-failures", 0.001, "the share of stable's requests that fail, 0 to 1")
	flags.Float64SliceVar(&s.canaries, "canary-failures", []float64{0.005, 0.05}, "the shares of a bad canary's requests that fail")
	flags.IntVar(&s.runs, "runs", 200, "how many rollouts are simulated for each line of the table, at most 100000")
	flags.Uint64Var(&s.seed, "seed", 1, "where the chances begin")
	flags.DurationVar(&s.scrape, "scrape-interval", 0, "how often each pod is scraped, at a seeded phase of its own; 0 counts requests as they happen")
	flags.Float64Var(&s.plain.Success, "plain-success", 0.99, "the share of good requests that a plain rule wants")
	flags.DurationVar(&s.plain.Span, "plain-span", time.Minute, "how far a plain rule looks back, and how often it looks")
	flags.IntSliceVar(&s.accepted, "plain-failures", []int{0, 2}, "how many failed looks a plain rule accepts")
	flags.DurationVar(&s.plainStep, "plain-step", 0, "how long a plain rule keeps the weight of a step until evidence; 0 is the step's longest time, or 5m where it has none")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "do not say how far it is")
}

// mostRequests a second are simulated, exclusively: more is a slip of the finger,
// and no rollout of anybody's.
const mostRequests = 1e6

// run simulates and prints, all of it or nothing.
func (s *simulation) run(ctx context.Context, in io.Reader, out io.Writer, far *progress) error {
	if err := s.validate(); err != nil {
		return err
	}
	tried, err := s.files.read(ctx, in)
	if err != nil {
		return err
	}
	check, err := tried.statistical(s.check)
	if err != nil {
		return err
	}
	shape, err := s.shape()
	if err != nil {
		return err
	}
	sc := shape.Apply(simulate.Scenario{
		Traffic: s.traffic, Steps: tried.steps, Past: analysisrun.Learnt, Delay: observe.DefaultSettle,
		Interval: check.Interval, Deadline: tried.deadline(), Seed: s.seed - 1,
		Scrapes: simulate.Scrapes{Every: s.scrape, Random: true, Stable: stablePods},
	})
	alone := tried.spec.Alone(check)
	contests, err := s.compare(ctx, sc, alone, far)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Rollout %s, check %s (alpha %.3g): %s.\n", tried.rollout.Name, check.Name, alone.Alpha, describe(sc.Steps))
	if timed := s.timed(sc); !slices.Equal(timed, sc.Steps) {
		fmt.Fprintf(out, "Plain rules know no evidence: %s.\n", describe(timed))
	}
	fmt.Fprintf(out, "Traffic %s: %s; %g requests/s, %.3g%% of stable's fail.\n", shape.Name, shape.About, sc.Traffic.RequestsPerSecond, 100*sc.Traffic.Baseline)
	fmt.Fprintf(out, "%d rollouts a line, seed %d, a look every %s%s. Not simulated: %s.\n\n", s.runs, s.seed, sc.Interval, s.scraped(), strings.Join(tried.others(check), ", "))
	return simulate.WriteContests(out, contests)
}

// compare simulates, and says how far it is.
func (s *simulation) compare(ctx context.Context, sc simulate.Scenario, alone analysis.Spec, far *progress) ([]simulate.Contest, error) {
	defer far.end()
	var done simulate.Done
	contests, err := simulate.Compare(ctx, s.contenders(alone, sc), sc, s.canaries, s.runs, func(d simulate.Done) {
		done = d
		far.tell(func() string {
			return fmt.Sprintf("simulated %d of %d rollouts, %d of %d lines of the table", d.Rollouts, d.AllRollouts, d.Lines, d.AllLines)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("interrupted after %d of %d rollouts; the table is not printed: %w", done.Rollouts, max(done.AllRollouts, s.runs), err)
	}
	return contests, nil
}

// timed are the steps of the plain rules.
func (s *simulation) timed(sc simulate.Scenario) []simulate.Step {
	return simulate.Timed(sc.Steps, plainStepDefault, s.plainStep)
}

// scraped says how the traffic is counted.
func (s *simulation) scraped() string {
	if s.scrape == 0 {
		return ""
	}
	return fmt.Sprintf(", each of %d pods scraped every %s", stablePods+1, s.scrape)
}

func (s *simulation) validate() error {
	var errs []error
	if s.runs < 1 || s.runs > 100_000 {
		errs = append(errs, fmt.Errorf("--runs is %d; it must be between 1 and 100000", s.runs))
	}
	// NaN is in no range: the comparisons ask what is allowed, not what is not.
	if rate := s.traffic.RequestsPerSecond; !(rate > 0 && rate < mostRequests) {
		errs = append(errs, fmt.Errorf("--requests-per-second is %g; it must be above 0 and below %g", rate, mostRequests))
	}
	errs = append(errs, share("--stable-failures", s.traffic.Baseline), share("--plain-success", s.plain.Success))
	for _, rate := range s.canaries {
		errs = append(errs, share("--canary-failures", rate))
	}
	for _, accepted := range s.accepted {
		if accepted < 0 {
			errs = append(errs, fmt.Errorf("--plain-failures has %d; it must be 0 or more", accepted))
		}
	}
	if s.scrape != 0 && (s.scrape < time.Second || s.scrape > 5*time.Minute) {
		errs = append(errs, fmt.Errorf("--scrape-interval is %s; it must be 0, or between 1s and 5m", s.scrape))
	}
	if s.plainStep < 0 {
		errs = append(errs, fmt.Errorf("--plain-step is %s; it must be 0 or more", s.plainStep))
	}
	if s.plain.Span <= 0 {
		errs = append(errs, fmt.Errorf("--plain-span is %s; it must be above 0", s.plain.Span))
	}
	return errors.Join(errs...)
}

// share is an error unless the flag's value is between 0 and 1.
func share(flag string, value float64) error {
	if value >= 0 && value <= 1 {
		return nil
	}
	return fmt.Errorf("%s has %g; it must be between 0 and 1", flag, value)
}

func (s *simulation) shape() (simulate.Shape, error) {
	var names []string
	for _, shape := range simulate.Shapes() {
		if shape.Name == s.scenario {
			return shape, nil
		}
		names = append(names, shape.Name)
	}
	return simulate.Shape{}, fmt.Errorf("--scenario %q is unknown; use one of %s", s.scenario, strings.Join(names, ", "))
}

// contenders are the product's judge and the plain rules.
func (s *simulation) contenders(spec analysis.Spec, sc simulate.Scenario) []simulate.Contender {
	all := []simulate.Contender{{Name: "serin", Judge: simulate.Sequential(spec)}}
	for _, accepted := range s.accepted {
		rule := s.plain
		rule.Failures, rule.Every = accepted, rule.Span
		name := fmt.Sprintf("%g%% good over %s, %d failures accepted", 100*rule.Success, rule.Span, accepted)
		all = append(all, simulate.Contender{Name: name, Judge: rule.Judge(), Steps: s.timed(sc)})
	}
	return all
}

// others are the checks beside the one that is simulated.
func (t tried) others(check analysis.Check) []string {
	names := slices.Clone(t.left)
	for _, c := range t.spec.Checks {
		if c.Name != check.Name {
			names = append(names, c.Name)
		}
	}
	return names
}

// describe says what the steps are: "5% for 1m0s, 50% until evidence (at most 5m0s)".
func describe(steps []simulate.Step) string {
	var parts []string
	for _, step := range steps {
		how := "for " + step.For.String()
		switch {
		case step.UntilEvidence && step.HoldOnTimeout:
			how = "until evidence"
		case step.UntilEvidence:
			how = "until evidence, at most " + step.For.String()
		case step.For == 0:
			how = "approved at once"
		}
		if step.Least > 0 {
			how += ", at least " + step.Least.String()
		}
		parts = append(parts, fmt.Sprintf("%g%% %s", step.Weight, how))
	}
	return strings.Join(parts, ", ")
}
