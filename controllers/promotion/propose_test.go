package promotion

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/forge/branch"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// branches are the hosts of Git servers without pull requests.
type branches struct{}

func (branches) Host(_ context.Context, source v1alpha1.Source, repository overlays.Repository, _ overlays.Remote) (forge.Host, error) {
	return branch.New(repository, branch.Options{Target: source.Branch, Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"}}), nil
}

// A person was faster than the cache of Git: the branch has the Release already,
// and the pull request of the Release before is still open. That one must not be
// shown, nor remembered, as the newer Release's.
func TestNothingToProposeIsNoProposal(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	kustomization := func(tag string) map[string]string {
		return map[string]string{
			"prod/kustomization.yaml": "resources: [web.yaml]\nimages:\n- name: ghcr.io/acme/web\n  newTag: " + tag + "\n",
			"prod/web.yaml":           "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: ghcr.io/acme/web}]}\n",
		}
	}
	w := gitrepotest.NewWriter(t, server.URL())
	w.Seed("main", kustomization("v1"))
	s := &scope{pipeline: &v1alpha1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web"}}, release: &v1alpha1.Release{}, now: time.Unix(1767323045, 0).UTC()}
	s.promotion = &v1alpha1.Promotion{ObjectMeta: metav1.ObjectMeta{Namespace: "team"}}
	s.pipeline.Spec.Source = v1alpha1.Source{URL: server.URL(), Branch: "main"}
	s.overlay = v1alpha1.Environment{Name: "prod", Path: "prod"}
	s.record = environments.Promotion{Environment: "prod", Previous: []environments.Image{{Repository: "ghcr.io/acme/web", Tag: "v1"}}}
	w.Git("push", "--quiet", "origin", "main:"+s.proposalBranch())
	old := w.Commit(s.proposalBranch(), kustomization("v2"))
	w.Commit("main", kustomization("v3"))

	repositories := gitrepo.New(t.TempDir(), gitrepo.Options{})
	t.Cleanup(func() {
		if err := repositories.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &Reconciler{Git: &access.Git{Repositories: repositories, Hints: &hints.Hub{}, Now: time.Now}, Hosts: branches{}}
	plan := promotion.Plan{Action: promotion.WriteProposal, Images: []environments.Image{{Repository: "ghcr.io/acme/web", Tag: "v3"}}}
	if err := r.propose(t.Context(), s, &plan); !errors.Is(err, errImagesMoved) {
		t.Errorf("error %v, want that Git is to be looked at again", err)
	}
	if plan.Record.Proposal != nil {
		t.Errorf("remembered %+v", plan.Record.Proposal)
	}
	if tip := w.Update(s.proposalBranch()); tip != old || !strings.Contains(w.Tree(s.proposalBranch())["prod/kustomization.yaml"], "v2") {
		t.Errorf("the older proposal is at %s, want %s", tip, old)
	}
}
