package gitrepo_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// History costs commits alone, once; what Serin itself wrote upon what it has
// seen costs nothing.
func TestHistoryCostsCommitsOnly(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	w := seed(t, server)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("apps/%03d/deployment.yaml", i)] = fmt.Sprintf("number: %d\n", i)
	}
	w.Commit("main", files)
	for i := range 5 {
		w.Commit("main", map[string]string{"apps/000/deployment.yaml": fmt.Sprintf("again: %d\n", i)})
	}
	dir := t.TempDir()
	repository := open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote())
	tip, err := repository.Tip(within(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	stored, before := storedBytes(t, dir), server.Requests()
	history := func(tip, since overlays.Revision, want int) {
		t.Helper()
		commits, err := repository.History(within(t), tip, since, 1000)
		if err != nil || len(commits) != want {
			t.Fatalf("%d commits, want %d (%v)", len(commits), want, err)
		}
	}
	history(tip.Revision, "", 7)
	if n := server.Requests() - before; n != 2 {
		t.Errorf("the first look took %d requests, want 2: the branches and the commits", n)
	}
	if grown := storedBytes(t, dir) - stored; grown > 6000 {
		t.Errorf("six commits took %d bytes: trees or contents were fetched", grown)
	}
	written := mustWrite(t, repository, setTag("v2"))
	before = server.Requests()
	history(tip.Revision, "", 7)
	history(written.Revision, tip.Revision, 1)
	if n := server.Requests() - before; n != 0 {
		t.Errorf("what is at hand took %d requests", n)
	}
}

// storedBytes are the packs and loose objects below a directory.
func storedBytes(t *testing.T, dir string) int64 {
	t.Helper()
	total := int64(0)
	for _, file := range objectFiles(t, dir) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total
}
