package rivals

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestLeader(t *testing.T) {
	app := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "app"}
	at := func(second int) metav1.Time { return metav1.Time{Time: time.Unix(int64(second), 0)} }
	rollout := func(name string, created int, phase v1alpha1.RolloutPhase, workload v1alpha1.WorkloadReference) v1alpha1.Rollout {
		return v1alpha1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(created)},
			Spec:       v1alpha1.RolloutSpec{WorkloadRef: workload}, Status: v1alpha1.RolloutStatus{Phase: phase},
		}
	}
	leaving := rollout("z", 1, v1alpha1.RolloutRollingBack, app)
	leaving.DeletionTimestamp = new(at(9))
	tests := map[string]struct {
		rollouts []v1alpha1.Rollout
		want     string
	}{
		"none":                          {nil, ""},
		"of another workload":           {[]v1alpha1.Rollout{rollout("a", 1, "", v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"})}, ""},
		"of another kind":               {[]v1alpha1.Rollout{rollout("a", 1, "", v1alpha1.WorkloadReference{Kind: "StatefulSet", Name: "app"})}, ""},
		"the older":                     {[]v1alpha1.Rollout{rollout("a", 2, v1alpha1.RolloutHealthy, app), rollout("b", 1, "", app)}, "b"},
		"that goes, until it is gone":   {[]v1alpha1.Rollout{rollout("a", 2, "", app), leaving}, "z"},
		"of one second, that has begun": {[]v1alpha1.Rollout{rollout("a", 1, "", app), rollout("b", 1, v1alpha1.RolloutHealthy, app)}, "b"},
		"of one second, by name":        {[]v1alpha1.Rollout{rollout("b", 1, "", app), rollout("a", 1, "", app)}, "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if leader := Leader(test.rollouts, app); leader != nil {
				got = leader.Name
			}
			if got != test.want {
				t.Errorf("the leader is %q, want %q", got, test.want)
			}
		})
	}
}
