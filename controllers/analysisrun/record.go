package analysisrun

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/serin-gitops/serin/analysis"
	recording "github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
	"github.com/serin-gitops/serin/controllers/rollout"
)

const (
	// kept is how many AnalysisRuns of a Rollout are kept where it does not say.
	kept = 10
	// Learnt is how far back stable's bursts are looked at before a trial.
	Learnt = 30 * time.Minute
	// unsaved is how long a record with the same verdict may stay unwritten. A
	// crash loses nothing: the windows are asked for again.
	unsaved = 15 * time.Second
)

// record is a trial under way: its AnalysisRun as it was written last, and
// what was found since.
type record struct {
	run   *v1alpha1.AnalysisRun
	spec  analysis.Spec
	state analysis.State
	// kept are the observations, to draw and to judge again.
	kept recording.Record
	// asked are the pods that each probe asked last.
	asked map[string]string
	// gates are the last questions of the webhook checks.
	gates map[string]*asking
	saved time.Time
	// last is the verdict that was written last, found the newest one.
	last, found analysis.Verdict
}

// open gives the record of the Rollout's trial; it is made where there is none.
func (a *Analyst) open(ctx context.Context, trial rollout.Trial) (*record, error) {
	key := client.ObjectKeyFromObject(trial.Rollout)
	name := rollout.RunName(trial.Rollout.Name, trial.Rollout.Status.Trial)
	a.mu.Lock()
	known := a.trials[key]
	a.mu.Unlock()
	if known != nil && known.run.Name == name && belongs(known.run, trial.Rollout) {
		return known, nil
	}
	opened, err := a.load(ctx, trial, name)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trials == nil {
		a.trials = map[client.ObjectKey]*record{}
	}
	if known != nil {
		known.close()
	}
	a.trials[key] = opened
	return opened, nil
}

func (a *Analyst) drop(ro *v1alpha1.Rollout) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := client.ObjectKeyFromObject(ro)
	if known := a.trials[key]; known != nil {
		known.close()
	}
	delete(a.trials, key)
}

func (a *Analyst) load(ctx context.Context, trial rollout.Trial, name string) (*record, error) {
	run := &v1alpha1.AnalysisRun{}
	err := a.Reader.Get(ctx, client.ObjectKey{Namespace: trial.Rollout.Namespace, Name: name}, run)
	if apierrors.IsNotFound(err) {
		run, err = a.create(ctx, trial, name)
	}
	if err != nil {
		return nil, fmt.Errorf("the AnalysisRun %s/%s: %w", trial.Rollout.Namespace, name, err)
	}
	if !belongs(run, trial.Rollout) {
		// The record of an earlier Rollout of this name says nothing of this one.
		if err := a.Client.Delete(ctx, run); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("the AnalysisRun %s/%s: %w", run.Namespace, run.Name, err)
		}
		return nil, fmt.Errorf("the AnalysisRun %s/%s is of another trial and removed first", run.Namespace, run.Name)
	}
	r := &record{run: run, asked: map[string]string{}, gates: map[string]*asking{}, saved: trial.Now, last: analysis.Verdict{Outcome: analysis.Outcome(run.Status.Verdict)}}
	if r.spec, err = checks.Spec(trial.Rollout, run.Spec.Alpha, run.Spec.Checks); err != nil {
		return nil, err
	}
	if run.Status.State != "" {
		err := r.resume()
		if err == nil {
			return r, nil
		}
		// Another version of Serin wrote it. Evidence is gathered anew: a trial that
		// can never be judged again would hold its Rollout for ever.
		log.FromContext(ctx).Error(err, "the trial is judged from here on", "analysisRun", client.ObjectKeyFromObject(run))
	}
	r.state = a.learn(ctx, r, trial)
	r.kept, err = recording.New(r.spec, r.state)
	return r, err
}

// resume takes up what the AnalysisRun's status holds.
func (r *record) resume() error {
	state, err := recording.Unpack(r.run.Status.State)
	if err == nil {
		err = json.Unmarshal([]byte(state), &r.state)
	}
	if err != nil {
		return fmt.Errorf("the AnalysisRun %s/%s: status.state: %w", r.run.Namespace, r.run.Name, err)
	}
	if r.kept, err = recording.Parse(r.run.Status.Record); err != nil {
		return fmt.Errorf("the AnalysisRun %s/%s: status.record: %w", r.run.Namespace, r.run.Name, err)
	}
	return nil
}

// belongs says whether a record is of the Rollout's present trial.
func belongs(run *v1alpha1.AnalysisRun, ro *v1alpha1.Rollout) bool {
	canary := ro.Status.Canary
	return metav1.IsControlledBy(run, ro) && canary != nil && run.Spec.Canary.TemplateHash == canary.TemplateHash
}

// create makes the AnalysisRun of a trial, and deletes the oldest ones.
func (a *Analyst) create(ctx context.Context, trial rollout.Trial, name string) (*v1alpha1.AnalysisRun, error) {
	ro := trial.Rollout
	template := Templates(ctx, a.Client, ro.Namespace)
	resolved, err := checks.Resolve(ro, template)
	if err != nil {
		return nil, err
	}
	// What is wrong is mended before there is a record that repeats it.
	if a.Inspect != nil {
		if err := Verify(ro, template, a.Inspect); err != nil {
			return nil, err
		}
	}
	run := &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ro.Namespace, Name: name, Labels: map[string]string{v1alpha1.LabelRollout: ro.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.GroupVersion.WithKind("Rollout"))},
		},
		Spec: v1alpha1.AnalysisRunSpec{Rollout: ro.Name, Trial: ro.Status.Trial, Alpha: alphaOf(ro), Checks: resolved},
	}
	if ro.Status.Stable != nil {
		run.Spec.Stable = *ro.Status.Stable
	}
	if ro.Status.Canary != nil {
		run.Spec.Canary = *ro.Status.Canary
	}
	if err := a.Client.Create(ctx, run); err != nil {
		return nil, err
	}
	if err := a.prune(ctx, ro); err != nil {
		log.FromContext(ctx).Error(err, "old AnalysisRuns are not deleted")
	}
	return run, nil
}

// learn begins a trial with what stable's past says about bursts. A source that
// is away leaves the prior belief.
func (a *Analyst) learn(ctx context.Context, r *record, trial rollout.Trial) analysis.State {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	state := analysis.NewState(trial.Now)
	for _, check := range r.spec.Checks {
		if check.Kind != analysis.KindRatio && check.Kind != analysis.KindLatency {
			continue
		}
		metrics, err := a.Sources.Metrics(ctx, trial.Rollout.Namespace, trial.Rollout.Spec.Analysis.Source)
		if err != nil {
			log.FromContext(ctx).Error(err, "the past of stable is not known", "check", check.Name)
			continue
		}
		past, err := metrics.Past(ctx, check, seriesOf(trial), trial.Now.Add(-Learnt), trial.Now)
		if err != nil {
			log.FromContext(ctx).Info("the past of stable is not known", "check", check.Name, "because", err.Error())
			continue
		}
		state = analysis.Learn(state, check.Name, past)
	}
	return state
}

// save writes the record where the verdict changed, or where it has not been
// written for a while.
func (a *Analyst) save(ctx context.Context, r *record, v analysis.Verdict, now time.Time) error {
	changed := v.Outcome != r.last.Outcome || v.Proven != r.last.Proven || v.Freeze != r.last.Freeze
	if !changed && now.Sub(r.saved) < unsaved {
		return nil
	}
	return a.write(ctx, r, v, now)
}

func (a *Analyst) write(ctx context.Context, r *record, v analysis.Verdict, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	next, err := a.update(ctx, r, v)
	if tooLarge(err) {
		// A trial must not be held for ever because its record does not fit: what it
		// led to so far is kept, and the record goes on from there.
		log.FromContext(ctx).Error(err, "the record begins anew", "analysisRun", client.ObjectKeyFromObject(r.run))
		if r.kept, err = recording.New(r.spec, r.state); err != nil {
			return err
		}
		next, err = a.update(ctx, r, v)
	}
	if err != nil {
		return fmt.Errorf("the AnalysisRun %s/%s: %w", r.run.Namespace, r.run.Name, err)
	}
	r.run, r.last, r.saved = next, v, now
	return nil
}

// update writes the AnalysisRun's status with what was found.
func (a *Analyst) update(ctx context.Context, r *record, v analysis.Verdict) (*v1alpha1.AnalysisRun, error) {
	next := r.run.DeepCopy()
	if err := fillIn(&next.Status, r, v); err != nil {
		return nil, err
	}
	return next, a.Client.Status().Update(ctx, next)
}

// tooLarge says whether the API server, or etcd behind it, took an object for too
// large. etcd's error (rpctypes.ErrRequestTooLarge) reaches clients as text.
func tooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || err != nil && strings.Contains(err.Error(), "request is too large")
}

// fillIn puts what was found into an AnalysisRun's status.
func fillIn(status *v1alpha1.AnalysisRunStatus, r *record, v analysis.Verdict) error {
	text, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	status.State, status.Record = recording.Pack(string(text)), r.kept.String()
	status.Verdict, status.Message = string(v.Outcome), v.Message
	if status.Started == nil {
		status.Started = &metav1.Time{Time: r.state.Started}
	}
	status.Checks = Checks(v)
	return nil
}

// Checks gives the checks of a verdict as an AnalysisRun's status has them.
func Checks(v analysis.Verdict) []v1alpha1.CheckStatus {
	var all []v1alpha1.CheckStatus
	for _, check := range v.Checks {
		all = append(all, v1alpha1.CheckStatus{
			Name: check.Name, Verdict: string(check.Outcome), Message: check.Message, DryRun: check.DryRun,
		})
	}
	return all
}

// End implements rollout.Analyst: the record gets what was found last, and the
// time of its end.
func (a *Analyst) End(ctx context.Context, ro *v1alpha1.Rollout, number int64, now time.Time) error {
	a.mu.Lock()
	r := a.trials[client.ObjectKeyFromObject(ro)]
	delete(a.trials, client.ObjectKeyFromObject(ro))
	a.mu.Unlock()
	if r != nil {
		r.close()
	}
	run := &v1alpha1.AnalysisRun{}
	key := client.ObjectKey{Namespace: ro.Namespace, Name: rollout.RunName(ro.Name, number)}
	if err := a.Reader.Get(ctx, key, run); err != nil || run.Status.Completed != nil {
		return client.IgnoreNotFound(err)
	}
	if r != nil && r.run.UID == run.UID && r.found.Checks != nil {
		if err := fillIn(&run.Status, r, r.found); err != nil {
			return fmt.Errorf("the AnalysisRun %s: %w", key, err)
		}
	}
	a.Forget(client.ObjectKeyFromObject(ro))
	run.Status.Completed = &metav1.Time{Time: now}
	if err := a.Client.Status().Update(ctx, run); err != nil {
		return fmt.Errorf("the AnalysisRun %s: %w", key, err)
	}
	return nil
}
