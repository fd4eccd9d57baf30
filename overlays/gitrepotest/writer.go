package gitrepotest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/overlays"
)

// Writer is another person with a clone and the git command line.
type Writer struct {
	t   testing.TB
	dir string
}

// NewWriter clones a repository, which may be empty.
func NewWriter(t testing.TB, url string) *Writer {
	t.Helper()
	w := &Writer{t: t, dir: filepath.Join(t.TempDir(), "clone")}
	run(t, filepath.Dir(w.dir), "git", "clone", "--quiet", url, w.dir)
	return w
}

// Git runs git in the clone.
func (w *Writer) Git(args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(run(w.t, w.dir, "git", args...))
}

// Seed makes a branch of one commit with these files and pushes it. A name
// that ends in "*" is executable; content that begins with "-> " is a symbolic
// link.
func (w *Writer) Seed(branch string, files map[string]string) overlays.Revision {
	w.t.Helper()
	w.Git("checkout", "--quiet", "--orphan", branch)
	w.write(files)
	w.Git("add", "--all")
	w.Git("commit", "--quiet", "--message", "Seed")
	w.Git("push", "--quiet", "--force", "origin", branch)
	return w.head()
}

// Commit puts a commit with these files upon a branch's newest tip and pushes.
func (w *Writer) Commit(branch string, files map[string]string) overlays.Revision {
	w.t.Helper()
	w.Update(branch)
	w.write(files)
	w.Git("add", "--all")
	w.Git("commit", "--quiet", "--message", "Another writer's commit")
	w.Git("push", "--quiet", "origin", "HEAD:"+branch)
	return w.head()
}

// Update checks a branch's newest tip out.
func (w *Writer) Update(branch string) overlays.Revision {
	w.t.Helper()
	w.Git("fetch", "--quiet", "--prune", "origin")
	w.Git("checkout", "--quiet", "--force", "-B", branch, "origin/"+branch)
	return w.head()
}

// Tree is what a branch holds now: contents by path.
func (w *Writer) Tree(branch string) map[string]string {
	w.t.Helper()
	w.Update(branch)
	tree := map[string]string{}
	for name := range strings.SplitSeq(w.Git("ls-files"), "\n") {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		tree[name] = string(content)
	}
	return tree
}

// Subjects are the subjects of a branch's commits, oldest first.
func (w *Writer) Subjects(branch string) []string {
	w.t.Helper()
	w.Update(branch)
	return strings.Split(w.Git("log", "--reverse", "--format=%s"), "\n")
}

func (w *Writer) head() overlays.Revision {
	w.t.Helper()
	return overlays.Revision(w.Git("rev-parse", "HEAD"))
}

func (w *Writer) write(files map[string]string) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content := files[name]
		mode := os.FileMode(0o600)
		if plain, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = plain, 0o700
		}
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), mode)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
