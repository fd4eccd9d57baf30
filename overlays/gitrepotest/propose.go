package gitrepotest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/overlays"
)

// proposal is a change for review upon main.
func proposal(subject, content string) overlays.Change {
	p := change(subject, set("prod/tag", content))
	p.Branch, p.Base = "serin/web/prod", "main"
	return p
}

func testProposeRewritten(t *testing.T, c *conformance) {
	w := c.seeded(t)
	base := w.Update("main")
	first := c.mustWrite(t, proposal("Promote v1", "v1\n"))
	if want := (overlays.Written{Revision: first.Revision, Parent: base, Changed: true, Paths: []string{"prod/tag"}}); !cmp.Equal(want, first) {
		t.Errorf("first: %s", cmp.Diff(want, first))
	}
	again := c.mustWrite(t, proposal("Promote v1", "v1\n"))
	if again.Changed || again.Revision != first.Revision {
		t.Errorf("the same proposal again wrote %+v, want nothing", again)
	}
	second := c.mustWrite(t, proposal("Promote v2", "v2\n"))
	if !second.Changed || second.Parent != base {
		t.Errorf("the newer proposal: %+v, want one commit upon %s", second, base)
	}
	if diff := cmp.Diff([]string{"Seed", "Promote v2"}, w.Subjects("serin/web/prod")); diff != "" {
		t.Errorf("the proposal's commits (-want +got):\n%s", diff)
	}
	if now := w.Update("main"); now != base {
		t.Errorf("the base moved to %s", now)
	}
	empty := proposal("Nothing", "")
	empty.Edit = set("README", "hello\n")
	nothing := c.mustWrite(t, empty)
	if nothing.Changed || nothing.Revision != base {
		t.Errorf("a proposal of nothing: %+v", nothing)
	}
}

func testProposeBaseMoved(t *testing.T, c *conformance) {
	w := c.seeded(t)
	c.mustWrite(t, proposal("Promote v1", "v1\n"))
	// A person adds a commit to the proposal, and the base goes on.
	w.Commit("serin/web/prod", map[string]string{"edited": "by hand\n"})
	base := w.Commit("main", map[string]string{"more": "x\n"})
	written := c.mustWrite(t, proposal("Promote v1", "v1\n"))
	if !written.Changed || written.Parent != base {
		t.Errorf("written %+v, want upon %s", written, base)
	}
	tree := w.Tree("serin/web/prod")
	if tree["more"] != "x\n" || tree["prod/tag"] != "v1\n" || tree["edited"] != "" {
		t.Errorf("the proposal's tree is %v", tree)
	}
}

func testMergeFastForward(t *testing.T, c *conformance) {
	w := c.seeded(t)
	p := proposal("Promote v1", "v1\n")
	written := c.mustWrite(t, p)
	merged, err := c.repository.Merge(c.ctx, "main", p.Branch, written.Revision, p)
	if err != nil {
		t.Fatal(err)
	}
	want := overlays.Written{Revision: written.Revision, Parent: written.Parent, Changed: true, Paths: []string{"prod/tag"}}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if tip := w.Update("main"); tip != written.Revision {
		t.Errorf("main is at %s, want %s", tip, written.Revision)
	}
	again, err := c.repository.Merge(c.ctx, "main", p.Branch, written.Revision, p)
	if err != nil || again.Changed {
		t.Errorf("merge again: %+v, %v, want nothing", again, err)
	}
}

func testMergeTargetMoved(t *testing.T, c *conformance) {
	w := c.seeded(t)
	p := proposal("Promote v1", "v1\n")
	written := c.mustWrite(t, p)
	moved := w.Commit("main", map[string]string{"more": "x\n"})
	p.Subject = "Merge serin/web/prod"
	merged, err := c.repository.Merge(c.ctx, "main", p.Branch, written.Revision, p)
	if err != nil {
		t.Fatal(err)
	}
	tree := w.Tree("main")
	if tree["more"] != "x\n" || tree["prod/tag"] != "v1\n" {
		t.Errorf("main holds %v", tree)
	}
	if tip := c.mustTip(t, "main"); tip.Revision != merged.Revision || !cmp.Equal(tip.Parents, []overlays.Revision{moved, written.Revision}) {
		t.Errorf("the merge is %s of %v, want %s of %s and %s", tip.Revision, tip.Parents, merged.Revision, moved, written.Revision)
	}
	w.Git("fsck", "--strict")
	again, err := c.repository.Merge(c.ctx, "main", p.Branch, written.Revision, p)
	if err != nil || again.Changed {
		t.Errorf("merge again: %+v, %v, want nothing", again, err)
	}
}

// testMergeSourceMoved: what took the proposal's place after it was approved is
// not merged for it.
func testMergeSourceMoved(t *testing.T, c *conformance) {
	w := c.seeded(t)
	p := proposal("Promote v1", "v1\n")
	written := c.mustWrite(t, p)
	w.Update(p.Branch)
	w.Git("rm", "--quiet", "README")
	w.Git("commit", "--quiet", "--amend", "--no-edit")
	w.Git("push", "--quiet", "--force", "origin", "HEAD:"+p.Branch)
	target := w.Update("main")
	if merged, err := c.repository.Merge(c.ctx, "main", p.Branch, written.Revision, p); !errors.Is(err, overlays.ErrMoved) {
		t.Errorf("merged %+v, %v, want ErrMoved", merged, err)
	}
	if tip := w.Update("main"); tip != target {
		t.Errorf("main went from %s to %s, which nobody approved", target, tip)
	}
}
