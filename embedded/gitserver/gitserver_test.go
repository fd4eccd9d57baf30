package gitserver

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const testPassword = "swordfish-4711"

// served is a running server with one user, "ci".
type served struct {
	*Server
	url string
}

func serve(t *testing.T, change func(*Options)) served {
	t.Helper()
	options := Options{
		Dir:   t.TempDir(),
		Users: []User{{Name: "ci", Password: testPassword}, {Name: "reader", Password: testPassword, ReadOnly: true}},
	}
	if change != nil {
		change(&options)
	}
	server, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		web.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	server.options.BaseURL = web.URL
	return served{Server: server, url: web.URL}
}

// remote is the address of the repository, with credentials in it.
func (s served) remote(t *testing.T, user, password string) string {
	t.Helper()
	u, err := url.Parse(s.url + "/acme/deploy.git")
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// git runs the git command line and returns its output.
func git(dir string, args ...string) (string, error) {
	command := exec.Command("git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, dir, name, content string) string {
	t.Helper()
	write(t, dir, name, content)
	mustGit(t, dir, "add", "-A")
	mustGit(t, dir, "commit", "-q", "-m", "Write "+name)
	return mustGit(t, dir, "rev-parse", "HEAD")
}

// seeded is a server with a repository of 30 files and three commits, and a
// work tree that it was pushed from.
func seeded(t *testing.T, change func(*Options)) (served, string) {
	t.Helper()
	s := serve(t, change)
	dir := t.TempDir()
	mustGit(t, dir, "init", "-q", "-b", "main")
	for i := range 30 {
		write(t, dir, fmt.Sprintf("apps/a%d/values.yaml", i), fmt.Sprintf("n: %d\n", i))
	}
	commit(t, dir, "one", "1\n")
	commit(t, dir, "two", "2\n")
	commit(t, dir, "apps/a3/values.yaml", "n: three\n")
	mustGit(t, dir, "remote", "add", "origin", s.remote(t, "ci", testPassword))
	mustGit(t, dir, "push", "-q", "origin", "main")
	return s, dir
}

func TestCloneAndIncrementalFetch(t *testing.T) {
	s, dir := seeded(t, nil)
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "clone", "-q", s.remote(t, "reader", testPassword), clone)
	if got, want := mustGit(t, clone, "log", "--format=%H"), mustGit(t, dir, "log", "--format=%H"); got != want {
		t.Errorf("cloned history:\n%s\nwant:\n%s", got, want)
	}
	mustGit(t, clone, "fsck", "--full", "--strict")

	for i := range 150 {
		commit(t, dir, "many", fmt.Sprint(i))
	}
	mustGit(t, dir, "checkout", "-q", "-b", "side", "HEAD~40")
	commit(t, dir, "side", "s")
	mustGit(t, dir, "tag", "-a", "v1", "-m", "one")
	mustGit(t, dir, "push", "-q", "origin", "main", "side", "v1")
	// A local commit makes the client offer a have that the server lacks.
	commit(t, clone, "local", "l")
	mustGit(t, clone, "fetch", "-q")
	mustGit(t, clone, "fsck", "--full", "--strict")
	if got, want := mustGit(t, clone, "rev-parse", "origin/side", "v1^{}"), mustGit(t, dir, "rev-parse", "side", "side"); got != want {
		t.Errorf("fetched side and v1 at %s, want %s", got, want)
	}
	if got := mustGit(t, clone, "rev-list", "--count", "origin/main"); got != "153" {
		t.Errorf("origin/main has %s commits, want 153", got)
	}
}

func TestFetchSendsOnlyWhatChanged(t *testing.T) {
	s, dir := seeded(t, nil)
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "-c", "transfer.unpackLimit=1000", "clone", "-q", "--depth=1", s.remote(t, "ci", testPassword), clone)
	before := objectCount(t, clone)
	commit(t, dir, "apps/a7/values.yaml", "n: seven\n")
	mustGit(t, dir, "push", "-q", "origin", "main")
	mustGit(t, clone, "-c", "fetch.unpackLimit=1000", "fetch", "-q", "--depth=1")
	// A commit, three trees and one blob.
	if got := objectCount(t, clone) - before; got != 5 {
		t.Errorf("a fetch of a one-line commit brought %d objects, want 5", got)
	}
	mustGit(t, clone, "fsck", "--full")
}

// objectCount is the number of loose objects.
func objectCount(t *testing.T, dir string) int {
	t.Helper()
	var count int
	if _, err := fmt.Sscanf(mustGit(t, dir, "count-objects"), "%d objects", &count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestShallowCloneDeepens(t *testing.T) {
	s, dir := seeded(t, nil)
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "clone", "-q", "--depth=1", s.remote(t, "ci", testPassword), clone)
	for _, step := range []struct{ args, count string }{
		{"", "1"},
		{"--depth=2", "2"},
		{"--depth=1", "1"},
		{"--unshallow", "3"},
	} {
		if step.args != "" {
			mustGit(t, clone, "fetch", "-q", step.args)
		}
		if got := mustGit(t, clone, "rev-list", "--count", "origin/main"); got != step.count {
			t.Errorf("%q: %s commits, want %s", step.args, got, step.count)
		}
		mustGit(t, clone, "fsck", "--full")
	}
	if got, want := mustGit(t, clone, "rev-parse", "HEAD"), mustGit(t, dir, "rev-parse", "HEAD"); got != want {
		t.Errorf("HEAD %s, want %s", got, want)
	}
	// A shallow clone can push.
	shallow := filepath.Join(t.TempDir(), "shallow")
	mustGit(t, ".", "clone", "-q", "--depth=1", s.remote(t, "ci", testPassword), shallow)
	tip := commit(t, shallow, "from-shallow", "x")
	mustGit(t, shallow, "push", "-q", "origin", "main")
	mustGit(t, dir, "fetch", "-q")
	if got := mustGit(t, dir, "rev-parse", "origin/main"); got != tip {
		t.Errorf("main at %s, want %s", got, tip)
	}
}

func TestPartialClone(t *testing.T) {
	s, _ := seeded(t, nil)
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "clone", "-q", "--bare", "--depth=1", "--filter=blob:none", s.remote(t, "ci", testPassword), clone)
	missing := mustGit(t, clone, "rev-list", "--objects", "--missing=print", "HEAD")
	if got := strings.Count("\n"+missing, "\n?"); got != 32 {
		t.Errorf("%d blobs missing after a clone without blobs, want all 32", got)
	}
	// One blob, by its id.
	if got := mustGit(t, clone, "show", "HEAD:apps/a3/values.yaml"); got != "n: three" {
		t.Errorf("apps/a3/values.yaml is %q", got)
	}
	missing = mustGit(t, clone, "rev-list", "--objects", "--missing=print", "HEAD")
	if got := strings.Count("\n"+missing, "\n?"); got != 31 {
		t.Errorf("%d blobs missing after one was asked for, want 31", got)
	}
}

func TestEmptyRepository(t *testing.T) {
	s := serve(t, nil)
	if err := s.Create("acme/deploy"); err != nil {
		t.Fatal(err)
	}
	if err := s.Create("acme/deploy"); err != nil {
		t.Errorf("a second time: %v", err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "clone", "-q", s.remote(t, "ci", testPassword), clone)
	mustGit(t, clone, "checkout", "-q", "-b", "trunk")
	commit(t, clone, "a", "a")
	mustGit(t, clone, "push", "-q", "origin", "trunk")
	again := filepath.Join(t.TempDir(), "again")
	mustGit(t, ".", "clone", "-q", s.remote(t, "ci", testPassword), again)
	if got := mustGit(t, again, "branch", "--show-current"); got != "trunk" {
		t.Errorf("HEAD is %q, want the first branch that was pushed", got)
	}
}

func TestServerKeepsRepositoriesOverRestart(t *testing.T) {
	s, dir := seeded(t, nil)
	// As a process leaves it that is killed in the middle of its work.
	left := []string{
		filepath.Join(s.path("acme/deploy"), draftPush+"1"), filepath.Join(s.path("acme/deploy"), draftReference+"1"),
		filepath.Join(s.options.Dir, "acme", draftRepository+"1", "HEAD"),
	}
	for _, path := range left {
		write(t, filepath.Dir(path), filepath.Base(path), "half")
	}
	second := serve(t, func(o *Options) { o.Dir = s.options.Dir })
	for _, path := range left {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	clone := filepath.Join(t.TempDir(), "clone")
	mustGit(t, ".", "clone", "-q", second.remote(t, "ci", testPassword), clone)
	if got, want := mustGit(t, clone, "rev-parse", "HEAD"), mustGit(t, dir, "rev-parse", "HEAD"); got != want {
		t.Errorf("HEAD %s, want %s", got, want)
	}
	mustGit(t, s.path("acme/deploy"), "fsck", "--full", "--strict")
}

func TestConcurrentPushesLoseNothing(t *testing.T) {
	s, dir := seeded(t, nil)
	const writers = 6
	var group sync.WaitGroup
	for i := range writers {
		clone := filepath.Join(t.TempDir(), "clone")
		mustGit(t, ".", "clone", "-q", s.remote(t, "ci", testPassword), clone)
		group.Go(func() {
			write(t, clone, fmt.Sprintf("w%d", i), "x")
			if out, err := git(clone, "add", "-A"); err != nil {
				t.Error(out)
			}
			if out, err := git(clone, "commit", "-q", "-m", "w"); err != nil {
				t.Error(out)
			}
			for range 20 * writers {
				if _, err := git(clone, "push", "-q", "origin", "main"); err == nil {
					return
				}
				if out, err := git(clone, "pull", "-q", "--rebase"); err != nil {
					t.Errorf("pull: %s", out)
					return
				}
			}
			t.Errorf("writer %d never got through", i)
		})
	}
	group.Wait()
	mustGit(t, dir, "pull", "-q", "--rebase", "origin", "main")
	if got := mustGit(t, dir, "rev-list", "--count", "HEAD"); got != fmt.Sprint(3+writers) {
		t.Errorf("%s commits, want %d", got, 3+writers)
	}
}
