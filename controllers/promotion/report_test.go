package promotion

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
)

// TestHeldIsShown wants a roll-out that cannot go on without help stalled, with
// what is in its way as the reason, and only then.
func TestHeldIsShown(t *testing.T) {
	for _, c := range []struct {
		name, held string
		phase      v1alpha1.PromotionPhase
		found      *trouble.Trouble
		stalled    string
	}{
		{"goes on", "", v1alpha1.PromotionRollingOut, nil, ""},
		{"has no room", "NoRoom", v1alpha1.PromotionRollingOut, nil, "NoRoom"},
		{"and Git is away", "NoRoom", v1alpha1.PromotionRollingOut, &trouble.Trouble{Reason: "GitFailed"}, ""},
		{"runs", "", v1alpha1.PromotionSucceeded, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &v1alpha1.Promotion{Status: v1alpha1.PromotionStatus{Phase: c.phase, Message: "as it is"}}
			conditions(p, c.held, c.found)
			stalled := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionStalled)
			if got := stalledBy(p.Status.Conditions, c.stalled); got != (c.stalled != "") || (stalled != nil) != got {
				t.Errorf("stalled %+v, want %q", stalled, c.stalled)
			}
		})
	}
}
