package promotion

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestWatchedGap(t *testing.T) {
	var w watched
	name := types.NamespacedName{Namespace: "team", Name: "app-prod-v2-1"}
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	longest := patience(time.Minute)
	check := func(what string, since, now time.Time, want time.Duration) {
		t.Helper()
		if got := w.gap(name, since, now, longest); got != want {
			t.Errorf("%s: gap %s, want %s", what, got, want)
		}
	}
	check("the clock stands", time.Time{}, start, 0)
	check("just written", start, start.Add(time.Second), 0)
	check("a new process", start, start.Add(5*time.Hour), 5*time.Hour)
	w.note(name, start.Add(5*time.Hour))
	check("watched", start, start.Add(5*time.Hour+2*time.Second), 0)
	check("the API server was away", start, start.Add(6*time.Hour), time.Hour)
	check("written anew since", start.Add(6*time.Hour), start.Add(6*time.Hour+time.Second), 0)
	check("a clock set back", start, start.Add(time.Hour), 0)
	w.forget(name)
	check("forgotten", start, start.Add(5*time.Hour), 5*time.Hour)
}

// Two Pipelines of one name in two namespaces may share a deploy repository, and
// must not write over each other's proposals.
func TestProposalBranchIsOnePipelines(t *testing.T) {
	branches := map[string]string{}
	for _, c := range [][3]string{{"team-a", "app", "prod"}, {"team-b", "app", "prod"}, {"team-a", "app", "staging"}, {"team-a", "api", "prod"}} {
		s := &scope{pipeline: &v1alpha1.Pipeline{}, overlay: v1alpha1.Environment{Name: c[2]}}
		s.pipeline.Namespace, s.pipeline.Name = c[0], c[1]
		branch := s.proposalBranch()
		if other, taken := branches[branch]; taken {
			t.Errorf("%v and %s share branch %s", c, other, branch)
		}
		branches[branch] = c[0] + "/" + c[1] + "/" + c[2]
	}
}
