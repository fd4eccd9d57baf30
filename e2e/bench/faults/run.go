package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/environments/rollout"
)

const (
	// look is the time between two looks, and the length of a window.
	look = 5 * time.Second
	// timeout of a question to the faulty source. The twin's waits for as long
	// as a loaded machine may take.
	timeout     = 500 * time.Millisecond
	twinTimeout = time.Minute
	// Fresh is how old the newest data of each check may be that a step advances
	// on: two windows, a look and what a scrape may be late. So by that much a
	// step may end on less than its twin knew.
	Fresh = 2*look + look + 10*time.Second
)

// trial tells the arms apart as the controller does.
func trial(w *World) observe.Trial {
	return observe.Trial{
		Arms: analysis.Arms{Stable: `namespace="prod",pod=~"web-stable-.+"`, Canary: `namespace="prod",pod=~"web-canary-.+"`},
		Born: func(labels map[string]string) (time.Time, bool) { at, known := w.born[labels["pod"]]; return at, known },
	}
}

// spec has a check of each kind that a source of time series is asked for. By
// apart the failures are a metric of their own.
func spec(apart bool) analysis.Spec {
	bad := `http_requests_total{code=~"5.."}`
	if apart {
		bad = "http_failures_total"
	}
	most := 100.0
	return analysis.Spec{Checks: []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Interval: look, Ratio: &analysis.Ratio{Total: "http_requests_total", Bad: bad, Comparison: analysis.Comparison{Objective: 0.02}}},
		{Name: "slow", Kind: analysis.KindLatency, Interval: look, Latency: &analysis.Latency{Histogram: "http_duration_seconds", Bound: 0.25}},
		{Name: "queue", Kind: analysis.KindThreshold, Interval: look, Threshold: &analysis.Threshold{Query: "max(queue)", Max: &most}},
	}}
}

// steps are two of fixed length around one that proof may shorten.
func steps() []rollout.Step {
	return []rollout.Step{
		{Weight: 5, Duration: time.Minute, Replicas: 2},
		{Weight: 20, Duration: time.Minute, Until: rollout.UntilEvidence, AdvanceOnTimeout: true, Replicas: 2},
		{Weight: 50, Duration: time.Minute, Replicas: 2},
	}
}

// course is what became of one trial.
type course struct {
	// advanced is when each step ended, the last one by promotion.
	advanced []time.Duration
	// failed is when the canary was rolled back; 0 for never.
	failed  time.Duration
	message string
	// passed are the looks that gave a pass, held counts the others.
	passed []time.Duration
	held   int
	// invented says what was counted that never happened.
	invented string
}

// driver takes one trial through its steps.
type driver struct {
	session  *session
	observer observe.Observer
	spec     analysis.Spec
	state    analysis.State
	snapshot rollout.Snapshot
	course   course
}

func newDriver(s *session, client analysis.Source, apart bool) *driver {
	canary, stable := rollout.Revision{TemplateHash: "b"}, rollout.Revision{TemplateHash: "a"}
	pods := []rollout.Pod{{Name: "web-canary-0", ContainersReady: true, Open: true, Ready: true}, {Name: "web-canary-1", ContainersReady: true, Open: true, Ready: true}}
	return &driver{
		session: s, observer: observe.Observer{Source: client}, spec: spec(apart), state: analysis.NewState(began),
		snapshot: rollout.Snapshot{
			Spec:     rollout.Spec{Workload: "Deployment/web", Steps: steps(), Routed: true, Interval: look},
			Workload: rollout.Workload{Exists: true, Labelled: true, Held: true, Paused: true, Wanted: canary, Running: stable, StableKept: true, Replicas: 3},
			Canary:   rollout.Canary{Exists: true, TemplateHash: "b", Replicas: 2, Pods: pods},
			Services: rollout.Services{Exist: true, Narrow: true},
			Route:    rollout.Route{Weight: 5, Reached: true},
			Status: rollout.Status{Phase: rollout.Progressing, Stable: stable, Canary: canary, Trial: 1, Weight: 5,
				TrialStarted: began, StepStarted: began, ClockAt: began},
		},
	}
}

// drive looks until the canary is rolled back or the horizon is reached.
func (d *driver) drive(ctx context.Context) (course, error) {
	d.learn(ctx)
	for age := look; age <= horizon && d.course.failed == 0; age += look {
		if err := ctx.Err(); err != nil {
			return d.course, err
		}
		d.session.now.Store(int64(age))
		d.look(ctx, age)
	}
	return d.course, nil
}

// learn asks for stable's past, as a trial's begin does.
func (d *driver) learn(ctx context.Context) {
	d.session.now.Store(0)
	for _, check := range d.spec.Checks[:2] {
		before, err := d.observer.Past(ctx, check, trial(d.session.world), began.Add(-past), began)
		if err == nil {
			d.state = analysis.Learn(d.state, check.Name, before)
		}
	}
}

// look is one turn of the controller.
func (d *driver) look(ctx context.Context, age time.Duration) {
	now := began.Add(age)
	if started := d.snapshot.Status.StepStarted; started.After(d.state.Step) {
		d.state = analysis.BeginStep(d.state, started)
	}
	var observations []analysis.Observation
	for _, check := range d.spec.Checks {
		observations = append(observations, d.observer.Due(ctx, check, trial(d.session.world), d.state, now)...)
	}
	var v analysis.Verdict
	d.state, v = analysis.Judge(d.spec, d.state, observations, now)
	if v.Outcome == analysis.Pass {
		d.course.passed = append(d.course.passed, age)
	} else {
		d.course.held++
	}
	d.compare()
	d.snapshot.Verdict = rollout.Verdict{Outcome: rollout.Outcome(v.Outcome), Proven: v.Proven, Freeze: v.Freeze, NeedsPerson: v.NeedsPerson, Message: v.Message}
	before := d.snapshot.Status
	plan := rollout.Decide(d.snapshot, now)
	d.snapshot.Status = plan.Status
	switch {
	case plan.Status.Phase == rollout.RollingBack:
		d.course.failed, d.course.message = age, plan.Status.Message
	case plan.Status.Step > before.Step, plan.Status.Phase == rollout.Finalising && before.Phase.OnTrial():
		d.course.advanced = append(d.course.advanced, age)
	}
	if plan.Action.Do == rollout.SetWeight {
		d.snapshot.Route.Weight = plan.Action.Weight
	}
}

// compare holds what was counted against what was served.
func (d *driver) compare() {
	for i, c := range d.state.Checks[:2] {
		if c.Ratio == nil || c.Through.IsZero() {
			continue
		}
		window := analysis.Window{Start: began.Add(-40 * time.Second), End: c.Through}
		for arm, counted := range []analysis.Counts{c.Ratio.Stable, c.Ratio.Canary} {
			served := d.session.world.Until(arm, window, i == 1)
			if counted.Total > served.Total || counted.Failed > served.Failed {
				d.course.invented = fmt.Sprintf("check %s, arm %d: %+v counted of %+v by %s", c.Name, arm, counted, served, c.Through.Sub(began))
			}
		}
	}
}

// Result of one run beside its twin.
type Result struct {
	Seed     uint64
	Schedule Schedule
	// Rollback and Promotion say what the faults caused; empty is nothing.
	Rollback, Promotion string
	// Invented says which requests were counted that were never served.
	Invented string
	// Held is how many looks the faults cost: those without a pass that the twin
	// had.
	Held int
	// Delayed is how much later the canary was promoted or rolled back.
	Delayed time.Duration
}

// Lab runs trials against one server.
type Lab struct {
	server *server
	http   *httptest.Server
}

// NewLab starts a server on loopback; Close stops it.
func NewLab() *Lab {
	s := newServer()
	return &Lab{server: s, http: httptest.NewServer(s)}
}

// Close stops the server.
func (l *Lab) Close() { l.http.Close() }

// Run takes one canary twice through the same traffic: once with the faults of
// the seed, once without.
func (l *Lab) Run(ctx context.Context, seed uint64) (Result, error) {
	rng := rand.New(rand.NewPCG(seed, 0xfa17)) //nolint:gosec // reproducible on purpose
	schedule := NewSchedule(rng, Kinds[seed%uint64(len(Kinds))], 4*time.Minute)
	return l.RunSchedule(ctx, seed, schedule)
}

// RunSchedule is Run with faults that are given.
func (l *Lab) RunSchedule(ctx context.Context, seed uint64, schedule Schedule) (Result, error) {
	rng := rand.New(rand.NewPCG(seed, 0x90b1)) //nolint:gosec // reproducible on purpose
	bad, badFrom := baseline, time.Duration(0)
	switch rng.IntN(3) {
	case 1:
		bad = 0.15
	case 2:
		bad, badFrom = 0.25, time.Duration(rng.Int64N(int64(3*time.Minute)))
	}
	apart := rng.IntN(2) == 0
	draws := rng.Uint64()
	world := func() *World { return NewWorld(rand.New(rand.NewPCG(draws, 1)), bad, badFrom) } //nolint:gosec // reproducible on purpose
	twin, err := l.drive(ctx, &session{seed: seed, world: world()}, apart, twinTimeout)
	if err != nil {
		return Result{}, err
	}
	spoilt := world()
	spoilt.spoil(rng, schedule)
	faulty, err := l.drive(ctx, &session{seed: seed, world: spoilt, schedule: schedule}, apart, timeout)
	if err != nil {
		return Result{}, err
	}
	return compare(seed, schedule, twin, faulty), nil
}

func (l *Lab) drive(ctx context.Context, s *session, apart bool, timeout time.Duration) (course, error) {
	path := fmt.Sprintf("%d-%t", s.seed, s.schedule != nil)
	l.server.open(path, s)
	defer l.server.close(path)
	client, err := prometheus.New(prometheus.Options{URL: l.http.URL + "/" + path, Timeout: timeout, QueriesPerSecond: 1e6})
	if err != nil {
		return course{}, err
	}
	return newDriver(s, client, apart).drive(ctx)
}

// passedSince says whether a look passed between two times: a step that ended
// then, on data that was young enough, ended by what its twin had seen as well.
func (c course) passedSince(from, to time.Duration) bool {
	return slices.ContainsFunc(c.passed, func(at time.Duration) bool { return at >= from && at <= to })
}

// compare tells what the faults did.
func compare(seed uint64, schedule Schedule, twin, faulty course) Result {
	r := Result{Seed: seed, Schedule: schedule, Held: max(0, faulty.held-twin.held), Invented: faulty.invented}
	if faulty.failed > 0 && twin.failed == 0 {
		r.Rollback = fmt.Sprintf("rolled back after %s, its twin never: %s", faulty.failed, faulty.message)
	}
	for step, at := range faulty.advanced {
		switch {
		case twin.failed > 0 && twin.failed+Fresh <= at:
			r.Promotion = fmt.Sprintf("step %d ended after %s, its twin was rolled back after %s", step+1, at, twin.failed)
		case twin.failed > 0 && twin.failed <= at:
		case step >= len(twin.advanced) && twin.passedSince(at-Fresh, at):
		case step >= len(twin.advanced):
			r.Promotion = fmt.Sprintf("step %d ended after %s, its twin's never", step+1, at)
		case twin.advanced[step] > at+Fresh:
			r.Promotion = fmt.Sprintf("step %d ended after %s, its twin's after %s", step+1, at, twin.advanced[step])
		}
	}
	switch {
	case twin.failed > 0 && faulty.failed > 0:
		r.Delayed = faulty.failed - twin.failed
	case len(twin.advanced) == 3 && len(faulty.advanced) == 3:
		r.Delayed = faulty.advanced[2] - twin.advanced[2]
	}
	return r
}
