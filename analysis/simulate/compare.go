package simulate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Shape is a kind of traffic with a name.
type Shape struct {
	Name string
	// About says in words what is special about it.
	About string
	// apply makes traffic of this kind, for a rollout of the given length.
	apply func(t Traffic, length time.Duration) Traffic
}

// Shapes are the kinds of traffic that an analysis can be tried with.
func Shapes() []Shape {
	return []Shape{
		{"independent", "each request fails on its own", func(t Traffic, _ time.Duration) Traffic { return t }},
		{"bursts", "failures come in bursts of 10 on average", func(t Traffic, _ time.Duration) Traffic {
			t.Burst = 10
			return t
		}},
		{"incidents", "6 incidents an hour of 30 s on average fail 10% of both revisions' requests", func(t Traffic, _ time.Duration) Traffic {
			t.Incidents, t.IncidentLength, t.IncidentRate = 6, 30*time.Second, 0.1
			return t
		}},
		{"growing-incidents", "2 incidents an hour of 3 minutes on average, which grow to fail 30% of both revisions' requests", func(t Traffic, _ time.Duration) Traffic {
			t.Incidents, t.IncidentLength, t.IncidentGrowth, t.IncidentRate = 2, 3*time.Minute, 3*time.Minute, 0.3
			return t
		}},
		{"ramp", "a regression grows from nothing over half of the rollout", func(t Traffic, length time.Duration) Traffic {
			t.Growth = length / 2
			return t
		}},
		{"diurnal", "load and failures swing by half within an hour", func(t Traffic, _ time.Duration) Traffic {
			t.Diurnal = 0.5
			return t
		}},
		{"low-traffic", "at most 1 request/s over both revisions", func(t Traffic, _ time.Duration) Traffic {
			t.RequestsPerSecond = min(t.RequestsPerSecond, 1)
			return t
		}},
		{"cold-cache", "a new pod fails 5% more at first, and as it should after 2 minutes", func(t Traffic, _ time.Duration) Traffic {
			t.WarmUp, t.WarmUpRate = 2*time.Minute, 0.05
			return t
		}},
		{"late", "a regression begins at half of the rollout", func(t Traffic, length time.Duration) Traffic {
			t.BadFrom = length / 2
			return t
		}},
	}
}

// Apply gives a scenario this kind of traffic.
func (s Shape) Apply(sc Scenario) Scenario {
	var length time.Duration
	for _, step := range sc.Steps {
		length += step.For
	}
	sc.Name, sc.Traffic = s.Name, s.apply(sc.Traffic, length)
	return sc
}

// Contender is a judge with a name.
type Contender struct {
	Name  string
	Judge NewJudge
	// Steps that somebody with this judge would have; nil for the scenario's.
	Steps []Step
}

// Timed gives the steps that a rule can have which knows no evidence: what lasts
// until there is some lasts for a fixed time instead, which is the longest time
// of the step, or otherwise where it has none. all, where it is above 0, is put
// in the place of both.
func Timed(steps []Step, otherwise, all time.Duration) []Step {
	timed := make([]Step, len(steps))
	for i, step := range steps {
		timed[i] = step
		if !step.UntilEvidence {
			continue
		}
		timed[i] = Step{Weight: step.Weight, For: cmp.Or(all, step.For, otherwise)}
	}
	return timed
}

// Contest is what one judge made of one kind of canary.
type Contest struct {
	Judge string
	// Canary is its failure rate, 0 to 1; Good is true where that is stable's.
	Canary  float64
	Good    bool
	Summary Summary
}

// Done is how far Compare is: rollouts of all, and lines of its table.
type Done struct{ Rollouts, AllRollouts, Lines, AllLines int }

// Compare puts a canary as good as stable, then those that fail at the given
// rates, before each judge. All judges see traffic of the same seeds. done, where
// it is not nil, is told of each rollout as it ends. Where the context ends first,
// there are no contests and the error is the context's.
func Compare(ctx context.Context, judges []Contender, sc Scenario, canaries []float64, runs int, done func(Done)) ([]Contest, error) {
	contests := make([]Contest, 0, len(judges)*(1+len(canaries)))
	far := Done{AllRollouts: cap(contests) * runs, AllLines: cap(contests)}
	tell := func() {
		far.Rollouts++
		far.Lines = far.Rollouts / runs
		if done != nil {
			done(far)
		}
	}
	for _, rate := range append([]float64{sc.Traffic.Baseline}, canaries...) {
		for _, judge := range judges {
			own := sc
			own.Traffic.Canary = rate
			if judge.Steps != nil {
				own.Steps = judge.Steps
			}
			results, err := Run(ctx, judge.Judge, own, runs, tell)
			if err != nil {
				return nil, err
			}
			contests = append(contests, Contest{Judge: judge.Name, Canary: rate, Good: rate <= sc.Traffic.Baseline, Summary: Summarise(own, results)})
		}
	}
	return contests, nil
}

// WriteContests prints what Compare found, for people.
func WriteContests(w io.Writer, contests []Contest) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "CANARY FAILS\tJUDGE\tROLLED BACK\t95% INTERVAL\tAFTER (MEDIAN)\tAFTER (P95)\tREQUESTS FAILED\tPROMOTED\tIN (MEDIAN)\tUNDECIDED"); err != nil {
		return err
	}
	for _, c := range contests {
		if _, err := fmt.Fprintln(table, c.row()); err != nil {
			return err
		}
	}
	return table.Flush()
}

func (c Contest) row() string {
	s := c.Summary
	canary := fmt.Sprintf("%.3g%%", 100*c.Canary)
	if c.Good {
		canary += " (as stable)"
	}
	median, p95, requests, in := "-", "-", "-", "-"
	if s.Failed > 0 {
		median, p95, requests = s.Median.String(), s.P95.String(), fmt.Sprintf("%.0f", s.CanaryFailed)
	}
	promoted := s.Runs - s.Failed - s.Expired
	if promoted > 0 {
		in = s.Promoted.String()
	}
	return fmt.Sprintf("%s\t%s\t%.1f%%\t%.1f-%.1f%%\t%s\t%s\t%s\t%.1f%%\t%s\t%.1f%%", canary, c.Judge, 100*s.Rate, 100*s.Low, 100*s.High,
		median, p95, requests, percentOf(promoted, s.Runs), in, percentOf(s.Expired, s.Runs))
}

func percentOf(part, all int) float64 { return 100 * float64(part) / float64(max(all, 1)) }
