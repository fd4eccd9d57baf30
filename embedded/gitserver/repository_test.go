package gitserver_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/serin-gitops/serin/embedded/gitserver"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// TestRepositoryConformance runs Serin's own Git client against this server.
func TestRepositoryConformance(t *testing.T) {
	gitrepotest.Run(t, func(t *testing.T) gitrepotest.Fixture {
		const password = "swordfish-4711"
		server, err := gitserver.New(gitserver.Options{
			Dir:   t.TempDir(),
			Users: []gitserver.User{{Name: "ci", Password: password}},
			// The suite also sees what a client makes of a rewritten branch.
			RewritePrefixes: []string{""},
		})
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(server)
		t.Cleanup(func() {
			web.Close()
			if err := server.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		if err := server.Create("acme/deploy"); err != nil {
			t.Fatal(err)
		}
		remote := overlays.Remote{URL: web.URL + "/acme/deploy.git", Username: "ci", Password: password}
		wrong := remote
		wrong.Password = "guess-0815"
		address, err := url.Parse(remote.URL)
		if err != nil {
			t.Fatal(err)
		}
		address.User = url.UserPassword(remote.Username, remote.Password)
		repositories := gitrepo.New(t.TempDir(), gitrepo.Options{})
		t.Cleanup(func() {
			if err := repositories.Close(); err != nil {
				t.Error(err)
			}
		})
		return gitrepotest.Fixture{
			Repositories: repositories, Remote: remote, URL: address.String(), Wrong: &wrong,
			Protect: func(_ testing.TB, branch string) { server.Protect(branch) },
		}
	})
}
