package promotion

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/controllers/internal/turn"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
)

// requestRefused is the reason of events and conditions for what a person asked
// and does not get.
const requestRefused = "RequestRefused"

// report writes the status once, tells people what changed, and says when to
// look again.
func (r *Reconciler) report(ctx context.Context, s *scope, plan promotion.Plan, found *trouble.Trouble) (ctrl.Result, error) {
	next := s.promotion.DeepCopy()
	convert.Record(plan.Record, &next.Status)
	next.Status.Workloads = s.workloads
	next.Status.ObservedGeneration = next.Generation
	conditions(next, plan.Held, found)
	refused := plan.Refused
	if found != nil && found.Reason == requestRefused {
		refused = found.Message
		next.Status.HandledRequest = next.Annotations[v1alpha1.AnnotationRequest]
	}
	changed, err := status.Patch(ctx, r.Client, s.promotion, next)
	if err != nil {
		return ctrl.Result{}, err
	}
	if changed {
		r.tell(s, next, plan.Held, found)
		if refused != "" {
			status.Event(r.Recorder, next, status.Warning, requestRefused, refused)
		}
	}
	if found != nil && found.Err != nil {
		return ctrl.Result{}, found.Err
	}
	return ctrl.Result{RequeueAfter: s.again(plan, found)}, nil
}

// conditions say in kstatus' words where the Promotion is.
// held is why its workloads cannot come up, where they cannot.
func conditions(p *v1alpha1.Promotion, held string, found *trouble.Trouble) {
	conditions, phase := &p.Status.Conditions, string(p.Status.Phase)
	if found != nil && !environments.Phase(phase).Ended() {
		p.Status.Message = found.Message
		if found.Stalled {
			status.Stalled(conditions, p.Generation, found.Reason, found.Message)
			return
		}
		status.Failing(conditions, p.Generation, found.Reason, found.Message)
		return
	}
	switch p.Status.Phase {
	case v1alpha1.PromotionSucceeded:
		status.Ready(conditions, p.Generation, phase, p.Status.Message)
	case v1alpha1.PromotionFailed, v1alpha1.PromotionRolledBack, v1alpha1.PromotionRejected, v1alpha1.PromotionSuperseded:
		status.Stalled(conditions, p.Generation, phase, p.Status.Message)
	case v1alpha1.PromotionRollingBack:
		status.Failing(conditions, p.Generation, phase, p.Status.Message)
	default:
		if held != "" {
			status.Stalled(conditions, p.Generation, held, p.Status.Message)
			return
		}
		status.Reconciling(conditions, p.Generation, phase, p.Status.Message)
	}
}

// tell sends events and counts outcomes.
func (r *Reconciler) tell(s *scope, next *v1alpha1.Promotion, held string, found *trouble.Trouble) {
	before, after := s.promotion.Status, next.Status
	if found != nil && found.Reason != requestRefused && before.Message != after.Message {
		status.Event(r.Recorder, next, status.Warning, found.Reason, found.Message)
	}
	if found == nil && held != "" && !stalledBy(before.Conditions, held) {
		status.Event(r.Recorder, next, status.Warning, held, after.Message)
	}
	if before.Phase == after.Phase {
		return
	}
	kind := status.Normal
	switch after.Phase {
	case v1alpha1.PromotionFailed, v1alpha1.PromotionRollingBack, v1alpha1.PromotionRolledBack, v1alpha1.PromotionRejected:
		kind = status.Warning
	default:
	}
	text := fmt.Sprintf("%s: %s", s.record.Environment, after.Message)
	status.Event(r.Recorder, next, kind, string(after.Phase), text)
	status.Event(r.Recorder, s.pipeline, kind, string(after.Phase), fmt.Sprintf("Promotion %s: %s", next.Name, text))
	if environments.Phase(after.Phase).Ended() {
		count(next)
	}
}

// stalledBy says whether the conditions have told of it already: once is enough,
// however the words change.
func stalledBy(conditions []metav1.Condition, reason string) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled) &&
		meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled).Reason == reason
}

// again is when to look next.
func (s *scope) again(plan promotion.Plan, found *trouble.Trouble) time.Duration {
	phase := plan.Record.Phase
	if phase.Ended() && (phase != environments.Rejected || plan.Record.Proposal == nil) {
		return 0
	}
	after := turn.Jittered(s.interval())
	switch {
	case found != nil:
	case plan.Action != promotion.Nothing || phase != s.record.Phase:
		after = turn.Soon
	case s.running():
		after = whileRunning
	default:
	}
	if !plan.Again.IsZero() {
		after = min(after, max(plan.Again.Sub(s.now), turn.Soon))
	}
	return after
}
