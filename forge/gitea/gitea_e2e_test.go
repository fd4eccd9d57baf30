//go:build e2e

package gitea_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/forge/forgetest"
	"github.com/serin-gitops/serin/forge/gitea"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// wrongToken has the shape of a token and is none.
const wrongToken = "0123456789abcdef0123456789abcdef01234567"

// server is the Gitea at SERIN_GITEA_URL, entered as the owner of the token
// SERIN_GITEA_TOKEN.
type server struct {
	*sdk.Client
	url, token, user string
}

func connect(t *testing.T) server {
	t.Helper()
	s := server{url: os.Getenv("SERIN_GITEA_URL"), token: os.Getenv("SERIN_GITEA_TOKEN")}
	if s.url == "" || s.token == "" {
		t.Fatal("set SERIN_GITEA_URL and SERIN_GITEA_TOKEN (make e2e does)")
	}
	var err error
	if s.Client, err = sdk.NewClient(s.url, sdk.SetToken(s.token)); err != nil {
		t.Fatal(err)
	}
	me, _, err := s.GetMyUserInfo()
	if err != nil {
		t.Fatal(err)
	}
	s.user = me.UserName
	return s
}

// repository makes an empty repository and returns its name.
func (s server) repository(t *testing.T) string {
	t.Helper()
	name := "forge-" + strings.ToLower(rand.Text())[:10]
	if _, _, err := s.CreateRepo(sdk.CreateRepoOption{Name: name, Private: true, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.DeleteRepo(s.user, name); err != nil {
			t.Errorf("delete repository %s: %v", name, err)
		}
	})
	return name
}

func (s server) cloneURL(name string) string {
	return strings.TrimSuffix(s.url, "/") + "/" + s.user + "/" + name + ".git"
}

func (s server) host(t *testing.T, name, token string) *gitea.Host {
	t.Helper()
	options, err := gitea.Locate(s.cloneURL(name))
	if err != nil {
		t.Fatal(err)
	}
	options.Token = token
	host, err := gitea.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestE2EConformance(t *testing.T) {
	s := connect(t)
	forgetest.Run(t, func(t *testing.T) forgetest.Fixture {
		name := s.repository(t)
		work := forgetest.NewWorkCopy(t, s.cloneURL(name), s.user, s.token, "main")
		return forgetest.Fixture{
			Host:   s.host(t, name, s.token),
			Denied: s.host(t, name, wrongToken), Secret: wrongToken,
			Target: "main", Remembers: true,
			Propose: work.Propose, Conflict: work.Conflict, Holds: work.Holds,
		}
	})
}

func TestE2ELabels(t *testing.T) {
	s := connect(t)
	name := s.repository(t)
	work := forgetest.NewWorkCopy(t, s.cloneURL(name), s.user, s.token, "main")
	host := s.host(t, name, s.token)
	const source = "serin/web/prod"
	work.Propose(t, source, "Promote 1.0.0", "Because.")
	draft := forge.Draft{Source: source, Target: "main", Title: "Promote 1.0.0", Labels: []string{"promotion", "serin"}}
	pr, err := host.Create(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"promotion", "serin"}, {"serin"}, {"rollback", "serin"}} {
		draft.Labels = want
		if pr, err = host.Update(t.Context(), pr.ID, draft); err != nil {
			t.Fatal(err)
		}
		slices.Sort(pr.Labels)
		if diff := cmp.Diff(want, pr.Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
	}
}

// TestRepositoryConformance runs Serin's own Git client against Gitea.
func TestE2ERepositoryConformance(t *testing.T) {
	s := connect(t)
	gitrepotest.Run(t, func(t *testing.T) gitrepotest.Fixture {
		name := s.repository(t)
		remote := overlays.Remote{URL: s.cloneURL(name), Username: s.user, Password: s.token}
		wrong := remote
		wrong.Password = wrongToken
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
			Protect: func(t testing.TB, branch string) {
				t.Helper()
				if _, _, err := s.CreateBranchProtection(s.user, name, sdk.CreateBranchProtectionOption{BranchName: branch, EnablePush: false}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
