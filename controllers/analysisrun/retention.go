package analysisrun

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// expiry is when the next record of a Rollout is old enough to go, for the age
// that was asked for then; a zero at is never.
type expiry struct {
	age time.Duration
	at  time.Time
}

// prune deletes the AnalysisRuns beyond those that are kept, the oldest first.
func (a *Analyst) prune(ctx context.Context, ro *v1alpha1.Rollout) error {
	var list v1alpha1.AnalysisRunList
	if err := a.Reader.List(ctx, &list, client.InNamespace(ro.Namespace), client.MatchingLabels{v1alpha1.LabelRollout: ro.Name}); err != nil {
		return err
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.AnalysisRun) int { return cmp.Compare(b.Spec.Trial, a.Spec.Trial) })
	keep := int(ro.Spec.Analysis.History)
	if keep <= 0 {
		keep = kept
	}
	for i := keep; i < len(list.Items); i++ {
		if err := a.Client.Delete(ctx, &list.Items[i]); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// Expire implements rollout.Analyst. When the next record expires is
// remembered, so that a Rollout at rest costs one list of its records for each
// that goes, and none where historyAge is 0. Records are too large to be cached.
func (a *Analyst) Expire(ctx context.Context, ro *v1alpha1.Rollout, now time.Time) (time.Duration, error) {
	age := ro.Spec.Analysis.HistoryAge.Duration
	if age <= 0 {
		return 0, nil
	}
	key := client.ObjectKeyFromObject(ro)
	a.mu.Lock()
	known, found := a.expiries[key]
	a.mu.Unlock()
	if !found || known.age != age || !known.at.IsZero() && !now.Before(known.at) {
		at, err := a.expire(ctx, ro, now, now.Add(-age))
		if err != nil {
			return 0, fmt.Errorf("old AnalysisRuns of Rollout %s: %w", key, err)
		}
		known = expiry{age: age}
		if !at.IsZero() {
			known.at = at.Add(age)
		}
		a.mu.Lock()
		if a.expiries == nil {
			a.expiries = map[client.ObjectKey]expiry{}
		}
		a.expiries[key] = known
		a.mu.Unlock()
	}
	if known.at.IsZero() {
		return 0, nil
	}
	return known.at.Sub(now), nil
}

// Forget implements rollout.Analyst.
func (a *Analyst) Forget(key client.ObjectKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.expiries, key)
}

// expire deletes the AnalysisRuns of trials that ended at an instant or before,
// and gives the earliest end of those that stay, zero where there is none. That
// of the trial under way has no end.
func (a *Analyst) expire(ctx context.Context, ro *v1alpha1.Rollout, now, until time.Time) (time.Time, error) {
	var list v1alpha1.AnalysisRunList
	if err := a.Reader.List(ctx, &list, client.InNamespace(ro.Namespace), client.MatchingLabels{v1alpha1.LabelRollout: ro.Name}); err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for i := range list.Items {
		run := &list.Items[i]
		if run.Status.Completed == nil && !underWay(ro, run) {
			// Serin ended between the end of the trial and that of its record.
			if err := a.End(ctx, ro, run.Spec.Trial, now); err != nil {
				return time.Time{}, err
			}
			run.Status.Completed = &metav1.Time{Time: now}
		}
		switch ended := run.Status.Completed; {
		case ended == nil:
		case ended.After(until):
			if next.IsZero() || ended.Time.Before(next) {
				next = ended.Time
			}
		default:
			if err := a.Client.Delete(ctx, run, client.Preconditions{UID: &run.UID}); client.IgnoreNotFound(err) != nil {
				return time.Time{}, err
			}
		}
	}
	return next, nil
}

// underWay says whether the trial of a record may still go on.
func underWay(ro *v1alpha1.Rollout, run *v1alpha1.AnalysisRun) bool {
	rests := ro.Status.Phase == v1alpha1.RolloutHealthy || ro.Status.Phase == v1alpha1.RolloutRolledBack
	return run.Spec.Trial > ro.Status.Trial || run.Spec.Trial == ro.Status.Trial && !rests
}
