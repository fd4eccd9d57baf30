package gitrepotest

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/overlays"
)

func testTipFacts(t *testing.T, c *conformance) {
	seed := c.seeded(t).Update("main")
	written := change("Promote web to dev", set("dev/tag", "v2\n"))
	written.Body = "The body.\n\nNot-a-trailer: for there is more below."
	written.Trailers = []overlays.Trailer{{Key: "Serin-Release", Value: "web-v2"}, {Key: "Serin-Reason", Value: "two\nlines"}}
	result := c.mustWrite(t, written)

	tip := c.mustTip(t, "main")
	tip.Files = nil
	tip.When = tip.When.UTC()
	want := overlays.Tip{
		Revision: result.Revision, Parents: []overlays.Revision{seed},
		Author: written.Author, When: written.When,
		Message: "Promote web to dev\n\nThe body.\n\nNot-a-trailer: for there is more below.\n\n" +
			"Serin-Release: web-v2\nSerin-Reason: two lines\n",
		Trailers: []overlays.Trailer{{Key: "Serin-Release", Value: "web-v2"}, {Key: "Serin-Reason", Value: "two lines"}},
	}
	if diff := cmp.Diff(want, tip); diff != "" {
		t.Errorf("tip (-want +got):\n%s", diff)
	}
}

func testTipFiles(t *testing.T, c *conformance) {
	w := NewWriter(t, c.URL)
	w.Seed("main", map[string]string{
		"top.yaml": "top\n", "a/b/c/deep.yaml": "deep\n", "a/run*": "run\n",
		"a/link.yaml": "-> ../top.yaml", "dirlink": "-> a/b",
		"out": "-> ../../etc/passwd", "absolute": "-> /etc/passwd", "loop": "-> loop",
	})
	files := c.mustTip(t, "main").Files
	for name, want := range map[string]string{
		"top.yaml": "top\n", "a/b/c/deep.yaml": "deep\n", "a/link.yaml": "top\n", "dirlink/c/deep.yaml": "deep\n",
	} {
		got, err := fs.ReadFile(files, name)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"out", "absolute", "loop", "../top.yaml", "a"} {
		if got, err := fs.ReadFile(files, name); err == nil {
			t.Errorf("%s: got %q, want an error", name, got)
		}
	}
	if _, err := fs.Stat(files, "a/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of what is not there: got %v, want fs.ErrNotExist", err)
	}
	below, err := fs.Sub(files, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(below, "c/deep.yaml"); err != nil {
		t.Error(err)
	}
}

func testTipNoBranch(t *testing.T, c *conformance) {
	if _, err := c.repository.Tip(c.ctx, "main"); !errors.Is(err, overlays.ErrNoBranch) {
		t.Errorf("empty repository: got %v, want ErrNoBranch", err)
	}
	c.seeded(t)
	c.mustTip(t, "main")
	if _, err := c.repository.Tip(c.ctx, "none"); !errors.Is(err, overlays.ErrNoBranch) {
		t.Errorf("branch that is not there: got %v, want ErrNoBranch", err)
	}
}

func testTipFollows(t *testing.T, c *conformance) {
	w := c.seeded(t)
	first := c.mustTip(t, "main")
	revision := w.Commit("main", map[string]string{"dev/kustomization.yaml": "images: [] # changed\n", "new/file.yaml": "new\n"})
	second := c.mustTip(t, "main")
	if second.Revision != revision {
		t.Errorf("tip is %s, want %s", second.Revision, revision)
	}
	want := map[string]string{"dev/kustomization.yaml": "images: [] # changed\n", "new/file.yaml": "new\n", "README": "hello\n"}
	for name, content := range want {
		got, err := fs.ReadFile(second.Files, name)
		if err != nil || string(got) != content {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, content)
		}
	}
	// The older tip still reads as it was.
	if got, err := fs.ReadFile(first.Files, "dev/kustomization.yaml"); err != nil || string(got) != "images: []\n" {
		t.Errorf("the older tip: got %q, %v", got, err)
	}
	// Back to what it was before, by force: those trees are known already.
	w.Git("push", "--quiet", "--force", "origin", string(first.Revision)+":main")
	if again := c.mustTip(t, "main"); again.Revision != first.Revision {
		t.Errorf("after a forced push: tip is %s, want %s", again.Revision, first.Revision)
	}
}

func testBranches(t *testing.T, c *conformance) {
	if branches, err := c.repository.Branches(c.ctx, ""); err != nil || len(branches) != 0 {
		t.Errorf("empty repository: got %v, %v, want none", branches, err)
	}
	w := c.seeded(t)
	w.Git("push", "--quiet", "origin", "main:serin/web/prod", "main:serin/web/staging")
	tip := w.Update("main")
	got, err := c.repository.Branches(c.ctx, "serin/")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]overlays.Revision{"serin/web/prod": tip, "serin/web/staging": tip}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("branches (-want +got):\n%s", diff)
	}
}

func testDeleteBranch(t *testing.T, c *conformance) {
	w := c.seeded(t)
	tip := w.Update("main")
	w.Git("push", "--quiet", "origin", "main:old")
	other := w.Commit("main", map[string]string{"README": "newer\n"})
	if err := c.repository.DeleteBranch(c.ctx, "old", other); !errors.Is(err, overlays.ErrMoved) {
		t.Errorf("delete at another commit: got %v, want ErrMoved", err)
	}
	if err := c.repository.DeleteBranch(c.ctx, "old", tip); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := c.repository.Tip(c.ctx, "old"); !errors.Is(err, overlays.ErrNoBranch) {
		t.Errorf("after the delete: got %v, want ErrNoBranch", err)
	}
	if err := c.repository.DeleteBranch(c.ctx, "old", tip); err != nil {
		t.Errorf("delete what is gone: %v", err)
	}
}
