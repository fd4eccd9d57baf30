package judge

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/e2e/bench/figure"
)

const (
	rollouts = 1000
	// workers judge at once, as a controller's do.
	workers = 8
	// warm looks fill the records; looks are measured.
	warm, looks = 3, 6
	// verdicts whose cost is measured, each on a record as long as it gets.
	verdicts = 2000
)

// began is when the measured trials begin; nothing depends on the day.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fiveChecks is an analysis as a pipeline has it: two checks of a time series
// source and three of the pods.
func fiveChecks() analysis.Spec {
	return analysis.Spec{Checks: []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{
			Total: "http_requests_total", Bad: `http_requests_total{code=~"5.."}`, Comparison: analysis.Comparison{Objective: 0.01}}},
		{Name: "slow", Kind: analysis.KindLatency, Latency: &analysis.Latency{Histogram: "http_request_duration_seconds", Bound: 0.5}},
		{Name: "health", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 8080, Path: "/health"}},
		{Name: "peers", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: 8080, Path: "/peers", List: "json", Min: 1}},
		{Name: "workload", Kind: analysis.KindWorkload, Workload: &analysis.Workload{}},
	}}
}

// podChecks are the observations of the checks that ask pods: all is well.
func podChecks(now time.Time) []analysis.Observation {
	at := analysis.Window{Start: now, End: now}
	probes := []analysis.ProbeResult{{Pod: "web-canary-a", Pass: true, Message: "status 200", Number: 200}}
	pods := []analysis.PodState{{
		Name: "web-canary-a", Created: began, Phase: "Running", Scheduled: true, ContainersReady: true, Since: began,
		Containers: []analysis.ContainerState{{Name: "web", Ready: true}},
	}}
	return []analysis.Observation{
		{Check: "health", Window: at, Probes: probes}, {Check: "peers", Window: at, Probes: probes}, {Check: "workload", Window: at, Pods: pods},
	}
}

// verdictCost is the median time of one verdict over five checks.
func verdictCost() figure.Figure {
	spec, state := fiveChecks(), analysis.NewState(began)
	stable, canary := analysis.Counts{Total: 950, Failed: 1}, analysis.Counts{Total: 50}
	cost := make([]time.Duration, 0, verdicts)
	const warmLooks = 1000
	for i := range warmLooks + verdicts {
		now := began.Add(time.Duration(i+1) * analysis.DefaultInterval)
		w := analysis.Window{Start: now.Add(-analysis.DefaultInterval), End: now}
		observations := append(podChecks(now),
			analysis.Observation{Check: "errors", Window: w, Stable: &stable, Canary: &canary},
			analysis.Observation{Check: "slow", Window: w, Stable: &stable, Canary: &canary})
		start := time.Now()
		state, _ = analysis.Judge(spec, state, observations, now)
		if i >= warmLooks {
			cost = append(cost, time.Since(start))
		}
	}
	slices.Sort(cost)
	return figure.New("analysis.verdict", float64(cost[len(cost)/2])/float64(time.Millisecond), "ms", len(cost)).Max(1)
}

// runningCost is what judging 1,000 rollouts on five checks every 10 s costs.
// The looks follow one another at once; each stands for 10 s.
func runningCost(ctx context.Context, start func(context.Context) (Source, error)) ([]figure.Figure, error) {
	source, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Stop()
	client, err := prometheus.New(prometheus.Options{URL: source.URL, QueriesPerSecond: 1e6})
	if err != nil {
		return nil, err
	}
	fleet := newFleet(observe.Observer{Source: client}, rollouts)
	var cpu time.Duration
	var asked int64
	for look := range warm + looks {
		cpuBefore, askedBefore, err := spent(ctx, source)
		if err != nil {
			return nil, err
		}
		if err := fleet.look(ctx, began.Add(time.Duration(look+1)*analysis.DefaultInterval+observe.DefaultSettle)); err != nil {
			return nil, err
		}
		cpuAfter, askedAfter, err := spent(ctx, source)
		if err != nil {
			return nil, err
		}
		if look >= warm {
			cpu, asked = cpu+cpuAfter-cpuBefore, asked+askedAfter-askedBefore
		}
	}
	span := time.Duration(looks) * analysis.DefaultInterval
	return []figure.Figure{
		figure.New("analysis.judging_1000_rollouts.cpu", cpu.Seconds()/span.Seconds(), "share", rollouts*looks).Max(0.10),
		figure.New("analysis.judging_1000_rollouts.queries", float64(asked)/span.Seconds(), "/s", rollouts*looks).Max(200),
	}, nil
}

// spent is this process's processor time and the queries asked so far.
func spent(ctx context.Context, source Source) (time.Duration, int64, error) {
	asked, err := source.Asked(ctx)
	if err != nil {
		return 0, 0, err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0, fmt.Errorf("processor time of this process: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), asked, nil
}

// fleet is many rollouts on trial.
type fleet struct {
	observer observe.Observer
	spec     analysis.Spec
	trials   []observe.Trial
	states   []analysis.State
}

func newFleet(observer observe.Observer, size int) *fleet {
	f := &fleet{observer: observer, spec: fiveChecks()}
	for i := range size {
		f.trials = append(f.trials, observe.Trial{Arms: analysis.Arms{
			Stable: fmt.Sprintf(`pod=~"web-%d-stable-.*"`, i), Canary: fmt.Sprintf(`pod=~"web-%d-canary-.*"`, i)}})
		f.states = append(f.states, analysis.NewState(began))
	}
	return f
}

// look judges every rollout once. A verdict other than a pass is an error: the
// measurement would not be of what it says.
func (f *fleet) look(ctx context.Context, now time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range f.trials {
		group.Go(func() error {
			observations := podChecks(now)
			for _, check := range f.spec.Checks[:2] {
				observations = append(observations, f.observer.Due(ctx, check, f.trials[i], f.states[i], now)...)
			}
			var verdict analysis.Verdict
			f.states[i], verdict = analysis.Judge(f.spec, f.states[i], observations, now)
			if verdict.Outcome != analysis.Pass {
				return fmt.Errorf("rollout %d at %s: the verdict on healthy traffic is %s: %s", i, now.Sub(began), verdict.Outcome, verdict.Message)
			}
			return nil
		})
	}
	return group.Wait()
}
