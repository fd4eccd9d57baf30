package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/rollout"
)

// closed remembers the last trial of each Rollout whose record is closed. It is
// empty after a start: whoever wrote the end of a trial may have died before the
// record was closed, so it is asked for once.
type closed struct{ remembered[int64] }

// due says whether the trial is over and its record not known to be closed.
func (c *closed) due(ro *v1alpha1.Rollout, s rollout.Status) bool {
	return s.Trial != 0 && !s.Phase.Watched() && s.Phase != rollout.RollingBack && c.last(ro) != s.Trial
}

// close closes the record of a trial that is over.
func (r *Reconciler) close(ctx context.Context, ro *v1alpha1.Rollout, s rollout.Status, now time.Time) error {
	if !r.closed.due(ro, s) {
		return nil
	}
	if err := r.Analyst.End(ctx, ro, s.Trial, now); err != nil {
		return fmt.Errorf("close the record of trial %d: %w", s.Trial, err)
	}
	r.closed.note(ro, s.Trial)
	return nil
}
