package gitrepotest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/overlays"
)

func testWriteOne(t *testing.T, c *conformance) {
	w := c.seeded(t)
	before := w.Tree("main")
	parent := w.Update("main")
	written := c.mustWrite(t, change("One", set("dev/kustomization.yaml", "images: [one]\n")))
	want := overlays.Written{Revision: w.Update("main"), Parent: parent, Changed: true, Paths: []string{"dev/kustomization.yaml"}}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	before["dev/kustomization.yaml"] = "images: [one]\n"
	if diff := cmp.Diff(before, w.Tree("main")); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if got := w.Git("log", "-1", "--format=%an <%ae> %cn <%ce> %at %ct"); got != "Serin <serin@example.com> Serin <serin@example.com> 1767323045 1767323045" {
		t.Errorf("author and committer: %s", got)
	}
	w.Git("fsck", "--strict")
}

func testWriteShapes(t *testing.T, c *conformance) {
	w := c.seeded(t)
	c.mustWrite(t, change("Many", func(fs.FS) ([]overlays.File, error) {
		return []overlays.File{
			{Path: "run.sh", Content: []byte("#!/bin/sh\nexit 1\n")},
			{Path: "base/deployment.yaml"},
			{Path: "dev/a/b/new.yaml", Content: []byte("new\n")},
			{Path: "dev.yaml", Content: []byte("sorted after dev-x and before dev/\n")},
			{Path: "dev-x/file", Content: []byte{}},
			{Path: "none/of/these"},
		}, nil
	}))
	want := map[string]string{
		"README": "hello\n", "dev/kustomization.yaml": "images: []\n", "run.sh": "#!/bin/sh\nexit 1\n",
		"dev/a/b/new.yaml": "new\n", "dev.yaml": "sorted after dev-x and before dev/\n", "dev-x/file": "",
	}
	if diff := cmp.Diff(want, w.Tree("main")); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if got := w.Git("ls-files", "--stage", "run.sh"); !strings.HasPrefix(got, "100755 ") {
		t.Errorf("run.sh is no longer executable: %s", got)
	}
	w.Git("fsck", "--strict")
}

func testWriteNothing(t *testing.T, c *conformance) {
	tip := c.seeded(t).Update("main")
	for name, edit := range map[string]overlays.Edit{
		"no file":   func(fs.FS) ([]overlays.File, error) { return nil, nil },
		"same file": set("README", "hello\n"),
		"not there": func(fs.FS) ([]overlays.File, error) { return []overlays.File{{Path: "a/none"}}, nil },
	} {
		written := c.mustWrite(t, change("Nothing", edit))
		if diff := cmp.Diff(overlays.Written{Revision: tip, Parent: tip}, written); diff != "" {
			t.Errorf("%s: written (-want +got):\n%s", name, diff)
		}
	}
	if now := c.mustTip(t, "main").Revision; now != tip {
		t.Errorf("the branch moved to %s", now)
	}
}

func testWriteEditFails(t *testing.T, c *conformance) {
	tip := c.seeded(t).Update("main")
	broken := errors.New("does not render")
	_, err := c.repository.Write(c.ctx, change("Broken", func(fs.FS) ([]overlays.File, error) { return nil, broken }))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the edit's own error", err)
	}
	if now := c.mustTip(t, "main").Revision; now != tip {
		t.Errorf("the branch moved to %s", now)
	}
}

func testWriteRefused(t *testing.T, c *conformance) {
	w := NewWriter(t, c.URL)
	tip := w.Seed("main", map[string]string{"file": "x\n", "link": "-> file"})
	for _, name := range []string{"../out", "/etc/passwd", "a/../b", "", ".", ".git/config", "a/.GIT/hooks/x", "file/below", "link"} {
		if _, err := c.repository.Write(c.ctx, change("Refused", set(name, "evil\n"))); err == nil {
			t.Errorf("path %q: want an error", name)
		}
	}
	nameless := change("Refused", set("file", "y\n"))
	nameless.Author = overlays.Identity{}
	if _, err := c.repository.Write(c.ctx, nameless); err == nil {
		t.Error("no author: want an error")
	}
	if now := c.mustTip(t, "main").Revision; now != tip {
		t.Errorf("the branch moved to %s", now)
	}
}

func testWriteNoBranch(t *testing.T, c *conformance) {
	c.seeded(t)
	direct := change("Direct", set("x", "x\n"))
	direct.Branch = "none"
	proposal := change("Proposal", set("x", "x\n"))
	proposal.Branch, proposal.Base = "serin/x", "none"
	for _, change := range []overlays.Change{direct, proposal} {
		if _, err := c.repository.Write(c.ctx, change); !errors.Is(err, overlays.ErrNoBranch) {
			t.Errorf("%s: got %v, want ErrNoBranch", change.Subject, err)
		}
	}
}

// testWriteConcurrently lets twenty promotions of one branch come at once:
// every one must be there, as a commit of its own, in one line.
func testWriteConcurrently(t *testing.T, c *conformance) {
	w := c.seeded(t)
	const writers = 20
	var group sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		group.Go(func() {
			_, errs[i] = c.repository.Write(c.ctx, change(fmt.Sprintf("Write %02d", i), add("README", fmt.Sprintf("line %02d", i))))
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	subjects := w.Subjects("main")
	if len(subjects) != writers+1 {
		t.Errorf("%d commits, want %d", len(subjects), writers+1)
	}
	slices.Sort(subjects)
	lines := strings.Split(strings.TrimSpace(w.Tree("main")["README"]), "\n")
	slices.Sort(lines)
	for i := range writers {
		if _, found := slices.BinarySearch(subjects, fmt.Sprintf("Write %02d", i)); !found {
			t.Errorf("commit %02d is lost", i)
		}
		if _, found := slices.BinarySearch(lines, fmt.Sprintf("line %02d", i)); !found {
			t.Errorf("line %02d is lost", i)
		}
	}
	w.Git("fsck", "--strict")
}

// testWriteLostRace lets another writer push between the edit and the push.
func testWriteLostRace(t *testing.T, c *conformance) {
	w := c.seeded(t)
	var calls atomic.Int32
	edit := add("README", "ours")
	written, err := c.repository.Write(c.ctx, change("Ours", func(tip fs.FS) ([]overlays.File, error) {
		if n := calls.Add(1); n <= 3 {
			w.Commit("main", map[string]string{fmt.Sprintf("theirs-%d", n): "x\n"})
		}
		return edit(tip)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 4 {
		t.Errorf("the edit was applied %d times, want once for each tip: 4", calls.Load())
	}
	tree := w.Tree("main")
	for _, name := range []string{"theirs-1", "theirs-2", "theirs-3"} {
		if _, ok := tree[name]; !ok {
			t.Errorf("the other writer's %s is lost", name)
		}
	}
	if tree["README"] != "hello\nours\n" {
		t.Errorf("README is %q", tree["README"])
	}
	if got := w.Git("rev-list", "--merges", "--count", "HEAD"); got != "0" {
		t.Errorf("%s merges, want none", got)
	}
	if tip := w.Update("main"); tip != written.Revision {
		t.Errorf("tip is %s, want what was written, %s", tip, written.Revision)
	}
}

type signer struct{ signed []byte }

// Sign returns an armour that is no signature, to be found in the commit.
func (s *signer) Sign(message []byte) ([]byte, error) {
	s.signed = slices.Clone(message)
	return []byte("-----BEGIN SSH SIGNATURE-----\nbm90IHJlYWw=\n-----END SSH SIGNATURE-----\n"), nil
}

func testWriteSigned(t *testing.T, c *conformance) {
	w := c.seeded(t)
	s := &signer{}
	signed := change("Signed", set("README", "signed\n"))
	signed.Signer = s
	c.mustWrite(t, signed)
	w.Update("main")
	raw := w.Git("cat-file", "commit", "HEAD")
	const header = "gpgsig -----BEGIN SSH SIGNATURE-----\n bm90IHJlYWw=\n -----END SSH SIGNATURE-----\n"
	if !strings.Contains(raw, header) {
		t.Errorf("no signature in:\n%s", raw)
	}
	if diff := cmp.Diff(strings.Replace(raw, header, "", 1)+"\n", string(s.signed)); diff != "" {
		t.Errorf("what was signed is not the commit without its signature (-want +got):\n%s", diff)
	}
	w.Git("fsck", "--strict")
	signed.Subject, signed.Signer = "Fails", failingSigner{}
	signed.Edit = set("README", "more\n")
	if _, err := c.repository.Write(c.ctx, signed); !errors.Is(err, errNoKey) {
		t.Errorf("got %v, want the signer's error", err)
	}
}

var errNoKey = errors.New("no key")

type failingSigner struct{}

// Sign fails.
func (failingSigner) Sign([]byte) ([]byte, error) { return nil, errNoKey }

func testWriteProtected(t *testing.T, c *conformance) {
	w := c.seeded(t)
	if c.Protect == nil {
		t.Log("this host has no protected branches")
		return
	}
	tip := w.Update("main")
	c.Protect(t, "main")
	_, err := c.repository.Write(c.ctx, change("Refused", set("README", "x\n")))
	if !errors.Is(err, overlays.ErrProtected) || !strings.Contains(err.Error(), "main") {
		t.Errorf("got %v, want ErrProtected with the branch", err)
	}
	proposal := change("Allowed", set("README", "x\n"))
	proposal.Branch, proposal.Base = "serin/web/prod", "main"
	if written := c.mustWrite(t, proposal); written.Parent != tip {
		t.Errorf("proposal upon %s, want %s", written.Parent, tip)
	}
}

func testWrongCredentials(t *testing.T, c *conformance) {
	c.seeded(t)
	if c.Wrong == nil {
		t.Log("this host lets everybody in")
		return
	}
	repository, err := c.Repositories.Open(c.ctx, *c.Wrong)
	if err != nil {
		t.Fatal(err)
	}
	_, tipErr := repository.Tip(c.ctx, "main")
	_, writeErr := repository.Write(c.ctx, change("Refused", set("README", "x\n")))
	for _, err := range []error{tipErr, writeErr} {
		if !errors.Is(err, overlays.ErrUnauthorized) {
			t.Errorf("got %v, want ErrUnauthorized", err)
			continue
		}
		for _, secret := range []string{c.Wrong.Password, c.Wrong.Bearer} {
			if secret != "" && strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the secret: %v", err)
			}
		}
	}
}
