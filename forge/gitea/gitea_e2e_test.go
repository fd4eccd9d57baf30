//go:build e2e

package gitea_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/serin-gitops/serin/forge/forgetest"
	"github.com/serin-gitops/serin/forge/gitea"
)

// TestConformance runs against the Gitea at SERIN_GITEA_URL, as the owner of
// the token SERIN_GITEA_TOKEN.
func TestConformance(t *testing.T) {
	address, token := os.Getenv("SERIN_GITEA_URL"), os.Getenv("SERIN_GITEA_TOKEN")
	if address == "" || token == "" {
		t.Fatal("set SERIN_GITEA_URL and SERIN_GITEA_TOKEN (make e2e does)")
	}
	client, err := sdk.NewClient(address, sdk.SetToken(token))
	if err != nil {
		t.Fatal(err)
	}
	me, _, err := client.GetMyUserInfo()
	if err != nil {
		t.Fatal(err)
	}
	forgetest.Run(t, func(t *testing.T) forgetest.Fixture {
		name := "forge-" + strings.ToLower(rand.Text())[:10]
		repository, _, err := client.CreateRepo(sdk.CreateRepoOption{Name: name, Private: true, DefaultBranch: "main"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := client.DeleteRepo(me.UserName, name); err != nil {
				t.Errorf("delete repository %s: %v", name, err)
			}
		})
		remote := strings.TrimSuffix(address, "/") + "/" + repository.FullName + ".git"
		work := forgetest.NewWorkCopy(t, remote, me.UserName, token, "main")
		const wrong = "0123456789abcdef0123456789abcdef01234567"
		return forgetest.Fixture{
			Host:   host(t, address, me.UserName, name, token),
			Denied: host(t, address, me.UserName, name, wrong), Secret: wrong,
			Target: "main", Remembers: true,
			Propose: work.Propose, Conflict: work.Conflict, Holds: work.Holds,
		}
	})
}

func host(t *testing.T, address, owner, repository, token string) *gitea.Host {
	t.Helper()
	h, err := gitea.New(gitea.Options{URL: address, Owner: owner, Repository: repository, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return h
}
