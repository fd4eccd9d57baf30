// Package rivals says which of several Rollouts that name one workload takes
// care of it.
package rivals

import (
	"cmp"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Leader gives the Rollout, of those of one namespace, that takes care of a
// workload: the oldest, also while it is being deleted and gives the workload
// back. Of two that were made in the same second it is the one that has begun,
// and else the first by name. Nil says that no Rollout names the workload.
func Leader(rollouts []v1alpha1.Rollout, workload v1alpha1.WorkloadReference) *v1alpha1.Rollout {
	var leader *v1alpha1.Rollout
	for i := range rollouts {
		ro := &rollouts[i]
		if ro.Spec.WorkloadRef == workload && (leader == nil || compare(ro, leader) < 0) {
			leader = ro
		}
	}
	return leader
}

func compare(a, b *v1alpha1.Rollout) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), idle(a)-idle(b), cmp.Compare(a.Name, b.Name))
}

// idle is 1 for a Rollout that has not begun.
func idle(ro *v1alpha1.Rollout) int {
	if ro.Status.Phase == "" {
		return 1
	}
	return 0
}
