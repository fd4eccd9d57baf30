package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// line is a branch whose commits are c1, c2, ...; it counts who asks.
type line struct {
	overlays.Repository
	commits []overlays.Commit
	asked   []string
	broken  error
}

func (l *line) Open(context.Context, overlays.Remote) (overlays.Repository, error) { return l, nil }

func (l *line) add(rejected ...string) overlays.Tip {
	commit := overlays.Commit{Revision: overlays.Revision("c" + string(rune('1'+len(l.commits))))}
	if len(l.commits) > 0 {
		commit.Parents = []overlays.Revision{l.commits[len(l.commits)-1].Revision}
	}
	for _, digest := range rejected {
		commit.Trailers = append(commit.Trailers, overlays.Trailer{Key: environments.TrailerRejected, Value: digest})
	}
	l.commits = append(l.commits, commit)
	return overlays.Tip{Revision: commit.Revision, Parents: commit.Parents, Trailers: commit.Trailers}
}

func (l *line) History(_ context.Context, tip, since overlays.Revision, _ int) ([]overlays.Commit, error) {
	l.asked = append(l.asked, string(since)+".."+string(tip))
	var found []overlays.Commit
	for i := len(l.commits) - 1; i >= 0 && l.commits[i].Revision != since; i-- {
		found = append(found, l.commits[i])
	}
	return found, l.broken
}

func TestRollbacks(t *testing.T) {
	branch := &line{}
	git := &Git{Repositories: branch, Hints: &hints.Hub{}, Now: time.Now}
	source := v1alpha1.Source{URL: "https://git.example.com/acme/deploy.git", Branch: "main"}
	look := func(tip overlays.Tip, want ...string) {
		t.Helper()
		commits, err := git.Rollbacks(t.Context(), "team", source, tip)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, commit := range commits {
			got = append(got, string(commit.Revision))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rollbacks of %s (-want +got):\n%s", tip.Revision, diff)
		}
	}
	branch.add()
	branch.add("sha256:1")
	tip := branch.add()
	branch.broken = errors.New("no route to host")
	if _, err := git.Rollbacks(t.Context(), "team", source, tip); !errors.Is(err, branch.broken) {
		t.Fatalf("error %v", err)
	}
	branch.broken = nil
	look(tip, "c2")
	look(tip, "c2")
	look(branch.add("sha256:2"), "c4", "c2")
	branch.add("sha256:3")
	look(branch.add(), "c5", "c4", "c2")
	// Asked for all until it is known, then for what is new, and not where the tip
	// itself tells.
	if diff := cmp.Diff([]string{"..c3", "..c3", "c4..c6"}, branch.asked); diff != "" {
		t.Errorf("looks at the history (-want +got):\n%s", diff)
	}
}
