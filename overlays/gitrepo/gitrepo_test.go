package gitrepo_test

import (
	"testing"

	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// newRepositories keeps stores in a directory of the test.
func newRepositories(t testing.TB, dir string, options gitrepo.Options) *gitrepo.Repositories {
	t.Helper()
	repositories := gitrepo.New(dir, options)
	t.Cleanup(func() {
		if err := repositories.Close(); err != nil {
			t.Error(err)
		}
	})
	return repositories
}

func TestHeavyConformance(t *testing.T) {
	servers := map[string]gitrepotest.ServerOptions{
		"partial": {Partial: true},
		"whole":   {},
	}
	for name, options := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gitrepotest.Run(t, func(t *testing.T) gitrepotest.Fixture {
				return gitrepotest.NewServer(t, options).Fixture(newRepositories(t, t.TempDir(), gitrepo.Options{}))
			})
		})
	}
}
