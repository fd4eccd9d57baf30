package promotion

import (
	"testing"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

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
