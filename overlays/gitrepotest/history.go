package gitrepotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/overlays"
)

// mustHistory reads a history down to 100 generations, as revisions.
func (c *conformance) mustHistory(t *testing.T, tip, since overlays.Revision) []overlays.Revision {
	t.Helper()
	commits, err := c.repository.History(c.ctx, tip, since, 100)
	if err != nil {
		t.Fatal(err)
	}
	var revisions []overlays.Revision
	for _, commit := range commits {
		revisions = append(revisions, commit.Revision)
	}
	return revisions
}

// others are n commits of another writer with a clock that is right.
func others(w *Writer, n int) []overlays.Revision {
	var made []overlays.Revision
	for i := range n {
		made = append(made, w.Commit("main", map[string]string{"other.yaml": fmt.Sprintf("%d\n", i)}))
	}
	return made
}

func testHistoryTrailers(t *testing.T, c *conformance) {
	w := c.seeded(t)
	seed := w.Update("main")
	rollback := change("Roll dev back", set("dev/tag", "v1\n"))
	rollback.Trailers = []overlays.Trailer{{Key: "Serin-Environment", Value: "dev"}, {Key: "Serin-Rejected", Value: "sha256:1"}}
	written := c.mustWrite(t, rollback)
	w.Update("main")
	last := w.Commit("main", map[string]string{"README": "newer\n"})

	got, err := c.repository.History(c.ctx, last, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	want := map[overlays.Revision]overlays.Commit{
		last:             {Revision: last, Parents: []overlays.Revision{written.Revision}},
		written.Revision: {Revision: written.Revision, Parents: []overlays.Revision{seed}, Trailers: rollback.Trailers},
		seed:             {Revision: seed},
	}
	have := map[overlays.Revision]overlays.Commit{}
	for _, commit := range got {
		have[commit.Revision] = commit
	}
	if diff := cmp.Diff(want, have); diff != "" || len(got) != 3 || got[0].Revision != last {
		t.Errorf("history of %d commits (-want +got):\n%s", len(got), diff)
	}
	if got, err := c.repository.History(c.ctx, "0123456789012345678901234567890123456789", "", 100); err == nil {
		t.Errorf("history of a commit that is not there: got %v", got)
	}
}

func testHistorySince(t *testing.T, c *conformance) {
	w := c.seeded(t)
	before := others(w, 2)
	seen := c.mustTip(t, "main")
	after := others(w, 3)
	want := []overlays.Revision{after[2], after[1], after[0]}
	// Twice: from the server, and from what is at hand then.
	for range 2 {
		if diff := cmp.Diff(want, sorted(w, c.mustHistory(t, after[2], seen.Revision))); diff != "" {
			t.Errorf("history since %s (-want +got):\n%s", seen.Revision, diff)
		}
	}
	all := c.mustHistory(t, after[2], "")
	if len(all) != 1+len(before)+len(after) {
		t.Errorf("all of the history has %d commits, want %d", len(all), 1+len(before)+len(after))
	}
	if got := c.mustHistory(t, after[2], after[2]); len(got) != 0 {
		t.Errorf("history since the tip itself: %v", got)
	}
}

// A branch that began before what was seen last, and is merged after it.
func testHistoryMerge(t *testing.T, c *conformance) {
	w := c.seeded(t)
	w.Git("checkout", "--quiet", "-B", "late", "origin/main")
	w.write(map[string]string{"late.yaml": "late\n"})
	w.Git("add", "--all")
	w.Git("commit", "--quiet", "--message", "Written early")
	late := w.head()
	before := others(w, 2)
	c.mustHistory(t, before[1], "")
	w.Git("merge", "--quiet", "--no-ff", "--message", "Merge late", string(late))
	w.Git("push", "--quiet", "origin", "HEAD:main")
	merge := w.head()
	got := sorted(w, c.mustHistory(t, merge, before[1]))
	if diff := cmp.Diff(sorted(w, []overlays.Revision{merge, late}), got); diff != "" {
		t.Errorf("history since before the merge (-want +got):\n%s", diff)
	}
}

func testHistoryDepth(t *testing.T, c *conformance) {
	w := c.seeded(t)
	made := others(w, 6)
	for _, depth := range []int{1, 3, 100} {
		got, err := c.repository.History(c.ctx, made[5], "", depth)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(depth, 7); len(got) != want {
			t.Errorf("depth %d: %d commits, want %d", depth, len(got), want)
		}
	}
}

// sorted puts revisions in git's own order, children first: commits of one
// second have none by their date.
func sorted(w *Writer, revisions []overlays.Revision) []overlays.Revision {
	var found []overlays.Revision
	for revision := range strings.SplitSeq(w.Git("rev-list", "--topo-order", "HEAD"), "\n") {
		if slices.Contains(revisions, overlays.Revision(revision)) {
			found = append(found, overlays.Revision(revision))
		}
	}
	return found
}
