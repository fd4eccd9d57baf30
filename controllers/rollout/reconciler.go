// Package rollout reconciles Rollouts: it observes a workload and its canary
// from caches, has the canary judged, lets environments/rollout decide, carries
// out at most one mutation and reports once.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/rivals"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments/rollout"
	"github.com/serin-gitops/serin/traffic"
)

// Analyst judges a canary.
type Analyst interface {
	// Look asks what is due and gives the verdict so far. What it has found is
	// in the trial's AnalysisRun before it returns a verdict that changed.
	Look(ctx context.Context, trial Trial) (analysis.Verdict, error)
	// End closes the record of a trial.
	End(ctx context.Context, rollout *v1alpha1.Rollout, number int64, now time.Time) error
	// Expire deletes the records that are older than the Rollout keeps them, never
	// that of the trial under way, and says when the next one will be; 0 is never.
	Expire(ctx context.Context, rollout *v1alpha1.Rollout, now time.Time) (time.Duration, error)
	// Forget drops what is remembered of a Rollout that is gone.
	Forget(key types.NamespacedName)
}

// Trial is one look at a canary.
type Trial struct {
	Rollout *v1alpha1.Rollout
	// Canary are the pods of the revision on trial, Stable those it is compared
	// with; those on their way out are left out.
	Canary, Stable []corev1.Pod
	// StepStarted is when the weight of the step was reached; zero until then.
	StepStarted time.Time
	// Serving says that the canary is given traffic now: until then a check
	// that needs traffic does not hold the rollout.
	Serving bool
	Now     time.Time
}

// Reconciler reconciles Rollouts.
type Reconciler struct {
	client.Client
	Recorder events.EventRecorder
	// Replicas moves traffic by the number of pods, Gateway by routes.
	Replicas, Gateway traffic.Router
	Gate              traffic.Gate
	Analyst           Analyst
	// Accept says what is wrong with a Rollout's analysis, before there is a
	// trial; nil does not ask.
	Accept func(context.Context, *v1alpha1.Rollout) error
	// Nodes reads nodes from the API server. It is asked only of a canary whose
	// pods do not end.
	Nodes client.Reader
	// Now is the clock.
	Now func() time.Time

	written  written
	attempts attempts
	closed   closed
}

// catchUp is how soon a reconcile is repeated that met a cache older than what
// was written, or lost a race; the watch is usually quicker.
const catchUp = 200 * time.Millisecond

// retainAgain is when old records are tried to be deleted once more.
const retainAgain = time.Minute

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var ro v1alpha1.Rollout
	found, err := r.read(ctx, req.NamespacedName, &ro)
	if err == nil && !found {
		forgetMetrics(req.NamespacedName)
		r.Analyst.Forget(req.NamespacedName)
		r.attempts.clear(req.NamespacedName)
		r.closed.clear(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	var result ctrl.Result
	if err == nil {
		result, err = r.reconcile(ctx, &ro)
	}
	var behind errBehind
	if errors.As(err, &behind) || apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("looks again", "because", err.Error())
		return ctrl.Result{RequeueAfter: catchUp}, nil
	}
	return result, err
}

// reconcile is one turn: observe, judge, decide, report, act. The status is
// written before the mutation that it announces.
func (r *Reconciler) reconcile(ctx context.Context, ro *v1alpha1.Rollout) (ctrl.Result, error) {
	if behind, err := r.standBehind(ctx, ro); err != nil || behind {
		return ctrl.Result{}, err
	}
	if adopted, err := r.adopt(ctx, ro); err != nil || adopted {
		return ctrl.Result{}, err
	}
	if stalled, err := r.refuse(ctx, ro); err != nil || stalled {
		return ctrl.Result{}, err
	}
	scene, err := r.observe(ctx, ro)
	if err != nil {
		return ctrl.Result{}, r.blind(ctx, ro, err)
	}
	now := r.Now().UTC().Truncate(time.Microsecond)
	scene.snapshot.Verdict = r.judge(ctx, scene, now)
	plan := rollout.Decide(scene.snapshot, now)
	if err := r.report(ctx, scene, plan); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.perform(ctx, scene, plan.Action); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.close(ctx, ro, plan.Status, now); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: r.retain(ctx, ro, plan, now)}, nil
}

// retain lets old records of a Rollout at rest go, and says when to look again.
func (r *Reconciler) retain(ctx context.Context, ro *v1alpha1.Rollout, plan rollout.Plan, now time.Time) time.Duration {
	if plan.RequeueAfter > 0 || ro.DeletionTimestamp != nil {
		return plan.RequeueAfter
	}
	next, err := r.Analyst.Expire(ctx, ro, now)
	if err != nil {
		log.FromContext(ctx).Error(err, "old records of trials stay")
		return retainAgain
	}
	return next
}

// adopt makes sure that the Rollout can give back what it takes.
func (r *Reconciler) adopt(ctx context.Context, ro *v1alpha1.Rollout) (bool, error) {
	if ro.DeletionTimestamp != nil || controllerutil.ContainsFinalizer(ro, v1alpha1.Finalizer) {
		return false, nil
	}
	next := ro.DeepCopy()
	controllerutil.AddFinalizer(next, v1alpha1.Finalizer)
	return true, r.patch(ctx, ro, next)
}

// refuse stalls a Rollout that cannot be carried out as it is written.
func (r *Reconciler) refuse(ctx context.Context, ro *v1alpha1.Rollout) (bool, error) {
	reason, message := "", ""
	switch kind := ro.Spec.WorkloadRef.Kind; {
	case ro.DeletionTimestamp != nil:
		return false, nil
	case kind != kindDeployment:
		reason = "UnsupportedKind"
		message = fmt.Sprintf("workloadRef.kind %s is not yet supported: it rolls by itself, and a Promotion waits for its own readiness; name a Deployment", kind)
	default:
		return false, nil
	}
	_, err := r.stall(ctx, ro, reason, message)
	return true, err
}

// workloadTaken is the reason of a Rollout whose workload has another one.
const workloadTaken = "WorkloadTaken"

// standBehind stalls a Rollout while an older one takes care of its workload; it
// touches nothing of it, also where it is deleted. The end of the older one wakes
// it.
func (r *Reconciler) standBehind(ctx context.Context, ro *v1alpha1.Rollout) (bool, error) {
	var list v1alpha1.RolloutList
	if err := r.List(ctx, &list, client.InNamespace(ro.Namespace), client.MatchingFields{workloadIndex: ro.Spec.WorkloadRef.Name}); err != nil {
		return false, fmt.Errorf("list the Rollouts of %s %s: %w", ro.Spec.WorkloadRef.Kind, ro.Spec.WorkloadRef.Name, err)
	}
	leader := rivals.Leader(list.Items, ro.Spec.WorkloadRef)
	if leader == nil || leader.UID == ro.UID {
		return false, nil
	}
	if ro.DeletionTimestamp != nil {
		return true, r.letGo(ctx, ro)
	}
	message := fmt.Sprintf("the older Rollout %s takes care of %s %s already: delete one of the two, or name another workload here",
		leader.Name, ro.Spec.WorkloadRef.Kind, ro.Spec.WorkloadRef.Name)
	changed, err := r.stall(ctx, ro, workloadTaken, message)
	if changed {
		status.Event(r.Recorder, ro, status.Warning, workloadTaken, message)
	}
	return true, err
}

// stall says that nothing is done before somebody changes something.
func (r *Reconciler) stall(ctx context.Context, ro *v1alpha1.Rollout, reason, message string) (bool, error) {
	next := ro.DeepCopy()
	next.Status.ObservedGeneration, next.Status.Message = ro.Generation, message
	status.Stalled(&next.Status.Conditions, ro.Generation, reason, message)
	return status.Patch(ctx, r.Client, ro, next)
}

// blind shows that the rollout cannot be observed.
func (r *Reconciler) blind(ctx context.Context, ro *v1alpha1.Rollout, cause error) error {
	var behind errBehind
	if errors.As(cause, &behind) {
		return cause
	}
	next := ro.DeepCopy()
	status.Failing(&next.Status.Conditions, ro.Generation, "ObservationFailed", cause.Error())
	if _, err := status.Patch(ctx, r.Client, ro, next); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// judge asks the analyst about what is on trial. That it cannot be asked holds
// the rollout, and never fails it.
func (r *Reconciler) judge(ctx context.Context, s *scene, now time.Time) rollout.Verdict {
	trial, watched := trialOf(s, now)
	if !watched {
		return rollout.Verdict{}
	}
	verdict, err := r.Analyst.Look(ctx, trial)
	if apierrors.IsConflict(err) {
		return rollout.Verdict{Outcome: rollout.Inconclusive, Freeze: true, Message: "the record of the trial has changed and is read again"}
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "the canary cannot be judged")
		return rollout.Verdict{Outcome: rollout.Inconclusive, Freeze: true, Message: "the canary cannot be judged: " + err.Error()}
	}
	verdicts.WithLabelValues(s.rollout.Namespace, s.rollout.Name, string(verdict.Outcome), string(verdict.Reason)).Inc()
	out := rollout.Verdict{
		Outcome: rollout.Outcome(verdict.Outcome), Proven: verdict.Proven, Freeze: verdict.Freeze,
		NeedsPerson: verdict.NeedsPerson, Message: verdict.Message,
	}
	for _, check := range verdict.Checks {
		out.Evidence = append(out.Evidence, fmt.Sprintf("%s: %s: %s", check.Name, check.Outcome, check.Message))
	}
	return out
}

// perform carries out the plan's action; what it failed of is shown until it
// succeeds.
func (r *Reconciler) perform(ctx context.Context, s *scene, a rollout.Action) error {
	if a.Do == rollout.Nothing {
		return nil
	}
	logger := log.FromContext(ctx).WithValues("action", a.Do)
	err := r.act(ctx, s, a)
	switch {
	case err == nil:
		r.attempts.clear(client.ObjectKeyFromObject(s.rollout))
		logger.Info(a.Reason, "phase", s.snapshot.Status.Phase, "weight", a.Weight, "pod", a.Pod)
		return nil
	case apierrors.IsConflict(err), errors.Is(err, traffic.ErrConflict):
		return errBehind{object: err.Error()}
	}
	r.attempts.note(s.rollout, err.Error())
	return fmt.Errorf("%s: %w", a.Do, err)
}
