package forgetest

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// file is what every proposal changes.
const file = "apps/web/kustomization.yaml"

// WorkCopy is a clone, by the git command line, of the repository that a
// fixture tries its Host on. Its methods are the fixture's functions of the
// same name.
type WorkCopy struct {
	dir, target string
}

// NewWorkCopy makes the first commit on target of the empty repository at
// remote, and pushes it.
func NewWorkCopy(t *testing.T, remote, user, password, target string) *WorkCopy {
	t.Helper()
	address, err := url.Parse(remote)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(user, password)
	w := &WorkCopy{dir: t.TempDir(), target: target}
	w.git(t, "init", "-q", "-b", target)
	w.git(t, "remote", "add", "origin", address.String())
	w.commit(t, "Deploy 0.9.0", "newTag: 0.9.0\n")
	w.git(t, "push", "-q", "origin", target)
	return w
}

// Propose writes source upon the target's tip.
func (w *WorkCopy) Propose(t *testing.T, source, title, body string) string {
	t.Helper()
	w.fetch(t)
	w.git(t, "checkout", "-q", "-B", source, "origin/"+w.target)
	w.commit(t, title+"\n\n"+body+"\n\nSerin-Pipeline: web\nSerin-Environment: staging", "newTag: "+title+"\n")
	w.git(t, "push", "-q", "--force", "origin", source)
	return w.git(t, "rev-parse", "HEAD")
}

// Conflict commits to the target.
func (w *WorkCopy) Conflict(t *testing.T) {
	t.Helper()
	w.fetch(t)
	w.git(t, "checkout", "-q", "-B", "other", "origin/"+w.target)
	w.commit(t, "Deploy by hand", "newTag: by-hand\n")
	w.git(t, "push", "-q", "origin", "other:"+w.target)
}

// Holds says whether the target's history has a commit.
func (w *WorkCopy) Holds(t *testing.T, commit string) bool {
	t.Helper()
	w.fetch(t)
	for _, line := range strings.Fields(w.git(t, "rev-list", "origin/"+w.target)) {
		if line == commit {
			return true
		}
	}
	return false
}

func (w *WorkCopy) fetch(t *testing.T) {
	t.Helper()
	w.git(t, "fetch", "-q", "--prune", "origin")
}

func (w *WorkCopy) commit(t *testing.T, message, content string) {
	t.Helper()
	path := filepath.Join(w.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	w.git(t, "add", "-A")
	w.git(t, "commit", "-q", "-m", message)
}

// git runs git and returns its output.
func (w *WorkCopy) git(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...) //nolint:gosec // a test's own arguments
	command.Dir = w.dir
	command.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
