// Package analysisrun judges the canaries of Rollouts: it collects what the
// checks ask for, has package analysis judge it, and keeps the record of each
// trial in an AnalysisRun.
package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
	recording "github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/analysis/workload"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// Pod is where a pod can be asked.
type Pod struct {
	Name, IP string
}

// Pods are those that a check concerns; Required must be among the canary's
// peers. Services are what leads to the canary's pods.
type Pods struct {
	Canary, Stable, Required, Services []Pod
}

// Asked is an http or peers check of a look, and the pods that it concerns.
type Asked struct {
	Check analysis.Check
	Pods  Pods
}

// Prober asks pods by HTTP.
type Prober interface {
	// Looks gives the observations of http and peers checks at now, one each and in
	// their order. It asks for all side by side, and takes no longer for many than
	// for one that hangs. It fails with an Absence within an observation.
	Looks(ctx context.Context, asked []Asked, now time.Time) []analysis.Observation
}

// Series says which time series belong to the two arms of a trial.
type Series struct {
	// Arms are the label matchers for checks that bring none of their own.
	Arms analysis.Arms
	// Args fill the placeholders of selectors and queries.
	Args map[string]string
	// Born tells when the pod behind a series began to run.
	Born counting.Born
	// Alone says that no pod of stable is left, as while it bakes.
	Alone bool
}

// Metrics asks one source of time series.
type Metrics interface {
	// Due gives the observations of a ratio, latency or threshold check that
	// are due at now.
	Due(ctx context.Context, check analysis.Check, series Series, state analysis.State, now time.Time) []analysis.Observation
	// Past gives stable's counts between two times, for analysis.Learn.
	Past(ctx context.Context, check analysis.Check, series Series, from, to time.Time) ([]analysis.Counts, error)
}

// Sources opens sources of time series.
type Sources interface {
	// Metrics gives the source that a Rollout of the namespace names; nil names
	// the controller's default. The error says what to set.
	Metrics(ctx context.Context, namespace string, source *v1alpha1.MetricSource) (Metrics, error)
}

// Analyst implements rollout.Analyst.
type Analyst struct {
	// Client reads templates and pods from caches and writes AnalysisRuns;
	// Reader reads AnalysisRuns from the API server itself.
	Client  client.Client
	Reader  client.Reader
	Prober  Prober
	Sources Sources
	// Gate asks what webhook checks name.
	Gate Gate
	// Inspect refuses queries before a trial begins; where it is nil, the source
	// does at the first look.
	Inspect checks.Inspect

	mu       sync.Mutex
	trials   map[types.NamespacedName]*record
	expiries map[types.NamespacedName]expiry
}

var _ rollout.Analyst = (*Analyst)(nil)

// lookLimit bounds what a look asks of all sources together, so that one that
// hangs does not keep a crash from being seen. Probes are not bound by it: a pod
// that hangs has to run into the check's own timeout, and what is found has to
// be written also where the sources used up their time. The Prober bounds them.
const lookLimit = 4 * time.Second

// Look implements rollout.Analyst.
func (a *Analyst) Look(ctx context.Context, trial rollout.Trial) (analysis.Verdict, error) {
	record, err := a.open(ctx, trial)
	if err != nil {
		return crashed(trial, err)
	}
	if err := record.step(trial); err != nil {
		return analysis.Verdict{}, err
	}
	observations := a.collect(ctx, record, record.state, trial)
	if err := record.kept.Look(record.state, observations, trial.Now); err != nil {
		return analysis.Verdict{}, err
	}
	state, verdict := analysis.Judge(record.spec, record.state, observations, trial.Now)
	record.state = state
	if !trial.Serving {
		verdict = BeforeTraffic(verdict)
	}
	record.found = verdict
	err = a.save(ctx, record, verdict, trial.Now)
	if err == nil {
		return verdict, nil
	}
	a.drop(trial.Rollout)
	if verdict.Outcome == analysis.Fail {
		// A record that cannot be written must not keep a bad canary in traffic.
		log.FromContext(ctx).Error(err, "the failing verdict is not in the record")
		return verdict, nil
	}
	return analysis.Verdict{}, err
}

// crashed is the verdict where the trial has no record: what can be seen of the
// pods alone still fails the canary.
func crashed(trial rollout.Trial, cause error) (analysis.Verdict, error) {
	limits := workload.Limits{UnreadyLimit: trial.Rollout.Spec.ReadyDeadline.Duration}
	found := workload.Assess(limits, podStates(trial.Canary), trial.Now)
	if found.Health != workload.Failed {
		return analysis.Verdict{}, cause
	}
	return analysis.Verdict{Outcome: analysis.Fail, Reason: analysis.Reason(found.Reason), Message: found.Message}, nil
}

// step tells the judge where the trial is: it starts with the first canary pod
// that is up, and each step starts when its weight was reached.
func (r *record) step(trial rollout.Trial) error {
	untouched := !slices.ContainsFunc(r.state.Checks, func(c analysis.CheckState) bool {
		return c.Name != checks.Workload && !c.Through.IsZero()
	})
	if untouched && len(up(trial.Canary)) == 0 {
		r.state.Started, r.state.Step = trial.Now, trial.Now
		var err error
		r.kept, err = recording.New(r.spec, r.state)
		return err
	}
	if trial.StepStarted.After(r.state.Step) {
		r.state = analysis.BeginStep(r.state, trial.StepStarted)
		return r.kept.BeginStep(trial.StepStarted)
	}
	return nil
}

// BeforeTraffic is what a verdict means for a canary without traffic: it passes
// where all that is missing is what only traffic can bring.
func BeforeTraffic(v analysis.Verdict) analysis.Verdict {
	if v.Outcome != analysis.Inconclusive || v.Freeze || v.NeedsPerson {
		return v
	}
	for _, check := range v.Checks {
		if !check.DryRun && check.Outcome != analysis.Pass && !wantsTraffic(check) {
			return v
		}
	}
	v.Outcome, v.Proven, v.Message = analysis.Pass, false, "all that can be known without traffic is well"
	return v
}

func wantsTraffic(c analysis.CheckVerdict) bool {
	switch c.Kind {
	case analysis.KindRatio, analysis.KindLatency, analysis.KindThreshold, analysis.KindResources:
	default:
		return false
	}
	switch c.Reason {
	case analysis.ReasonNoData, analysis.ReasonNoSeries, analysis.ReasonTooFewRequests, analysis.ReasonInitialDelay:
		return true
	}
	return false
}

// collect asks what is due. A pod that crashed is an answer by itself: nothing
// else is waited for then.
func (a *Analyst) collect(ctx context.Context, r *record, state analysis.State, trial rollout.Trial) []analysis.Observation {
	window := analysis.Window{Start: trial.Now, End: trial.Now}
	states := podStates(trial.Canary)
	observations := []analysis.Observation{{Check: checks.Workload, Window: window, Pods: states}}
	if workload.Assess(*r.spec.Checks[0].Workload, states, trial.Now).Health == workload.Failed {
		return observations
	}
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, check := range r.spec.Checks[1:] {
		if !probed(check) && check.Kind != analysis.KindWebhook {
			observations = append(observations, a.measure(limited, check, state, trial)...)
		}
	}
	observations = append(observations, a.probe(ctx, r, state, trial)...)
	for _, check := range r.spec.Checks[1:] {
		if check.Kind == analysis.KindWebhook {
			observations = append(observations, a.gate(ctx, r, check, state, trial)...)
		}
	}
	return observations
}

// probed says whether a check asks the pods themselves.
func probed(check analysis.Check) bool {
	return check.Kind == analysis.KindHTTP || check.Kind == analysis.KindPeers
}

// probe asks the pods for all checks that are due.
func (a *Analyst) probe(ctx context.Context, r *record, state analysis.State, trial rollout.Trial) []analysis.Observation {
	var due []Asked
	var observations []analysis.Observation
	for _, check := range r.spec.Checks[1:] {
		if !probed(check) {
			continue
		}
		pods, ok, err := a.podsOf(ctx, r, check, state, trial)
		switch {
		case err != nil:
			observations = append(observations, absent(check, trial.Now, err))
		case ok:
			due = append(due, Asked{Check: check, Pods: pods})
		}
	}
	if len(due) == 0 {
		return observations
	}
	return append(observations, a.Prober.Looks(ctx, due, trial.Now)...)
}

// podsOf gives the pods to ask where the check's interval is over, or where a pod
// is up that has not been asked yet; false where it is not due.
func (a *Analyst) podsOf(ctx context.Context, r *record, check analysis.Check, state analysis.State, trial rollout.Trial) (Pods, bool, error) {
	pods := Pods{Canary: up(trial.Canary), Stable: up(trial.Stable)}
	if len(pods.Canary) == 0 {
		return Pods{}, false, nil
	}
	asked := names(pods.Canary)
	service := serviceOf(check, trial)
	if service != "" {
		asked += " and " + service
	}
	if trial.Now.Sub(through(state, check.Name)) < check.Interval && r.asked[check.Name] == asked {
		return Pods{}, false, nil
	}
	var err error
	if pods.Required, err = a.required(ctx, r, check.Name, trial.Rollout.Namespace); err == nil {
		pods.Services, err = a.services(ctx, check, trial.Rollout.Namespace, service)
	}
	if err != nil {
		return Pods{}, false, err
	}
	r.asked[check.Name] = asked
	return pods, true, nil
}

// required are the pods that a peers check wants among the canary's peers.
func (a *Analyst) required(ctx context.Context, r *record, check, namespace string) ([]Pod, error) {
	for _, c := range r.run.Spec.Checks {
		if c.Name != check || c.Peers == nil || c.Peers.Including == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(c.Peers.Including)
		if err != nil {
			return nil, fmt.Errorf("including: %w", err)
		}
		var list corev1.PodList
		if err := a.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("list the pods of including: %w", err)
		}
		pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
		return up(pods), nil
	}
	return nil, nil
}

// measure asks the source of time series for the windows that are due.
func (a *Analyst) measure(ctx context.Context, check analysis.Check, state analysis.State, trial rollout.Trial) []analysis.Observation {
	metrics, err := a.Sources.Metrics(ctx, trial.Rollout.Namespace, trial.Rollout.Spec.Analysis.Source)
	if err != nil {
		return []analysis.Observation{absent(check, trial.Now, err)}
	}
	if len(up(trial.Canary)) == 0 {
		return nil
	}
	return metrics.Due(ctx, check, seriesOf(trial), state, trial.Now)
}

// absent is the observation of what could not be asked: an outage, where the
// error does not say otherwise.
func absent(check analysis.Check, now time.Time, err error) analysis.Observation {
	absence := &analysis.Absence{Kind: analysis.Outage, Message: err.Error()}
	errors.As(err, &absence)
	return analysis.Observation{Check: check.Name, Window: analysis.Window{Start: now, End: now}, Absence: absence}
}

func through(state analysis.State, check string) time.Time {
	for _, c := range state.Checks {
		if c.Name == check {
			return c.Through
		}
	}
	return time.Time{}
}

func names(pods []Pod) string {
	var out []string
	for _, pod := range pods {
		out = append(out, pod.Name)
	}
	return strings.Join(out, " ")
}
