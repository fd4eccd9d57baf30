package branch_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/serin-gitops/serin/embedded/gitserver"
	"github.com/serin-gitops/serin/forge/branch"
	"github.com/serin-gitops/serin/forge/forgetest"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
)

const password = "swordfish-4711"

func TestConformance(t *testing.T) {
	forgetest.Run(t, func(t *testing.T) forgetest.Fixture {
		server, err := gitserver.New(gitserver.Options{Dir: t.TempDir(), Users: []gitserver.User{{Name: "serin", Password: password}}})
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
		remote := overlays.Remote{URL: web.URL + "/acme/deploy.git", Username: "serin", Password: password}
		work := forgetest.NewWorkCopy(t, remote.URL, remote.Username, remote.Password, "main")
		wrong := remote
		wrong.Password = "guess-0815"
		return forgetest.Fixture{
			Host: host(t, remote), Denied: host(t, wrong), Secret: wrong.Password,
			Target:  "main",
			Propose: work.Propose, Conflict: work.Conflict, Holds: work.Holds,
		}
	})
}

func host(t *testing.T, remote overlays.Remote) *branch.Host {
	t.Helper()
	repositories := gitrepo.New(t.TempDir(), gitrepo.Options{})
	t.Cleanup(func() {
		if err := repositories.Close(); err != nil {
			t.Error(err)
		}
	})
	repository, err := repositories.Open(t.Context(), remote)
	if err != nil {
		t.Fatal(err)
	}
	return branch.New(repository, branch.Options{
		Target: "main",
		Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"},
		Now:    func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	})
}
