package gitrepo_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// within is a context for a test's exchanges.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, repositories *gitrepo.Repositories, remote overlays.Remote) overlays.Repository {
	t.Helper()
	repository, err := repositories.Open(within(t), remote)
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

// setTag is a promotion in short.
func setTag(tag string) overlays.Change {
	return overlays.Change{
		Branch: "main", Subject: "Promote " + tag,
		Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"}, When: time.Unix(1767323045, 0).UTC(),
		Edit: func(tip fs.FS) ([]overlays.File, error) {
			if _, err := fs.ReadFile(tip, "dev/tag.yaml"); err != nil {
				return nil, err
			}
			return []overlays.File{{Path: "dev/tag.yaml", Content: []byte(tag + "\n")}}, nil
		},
	}
}

func seed(t testing.TB, server *gitrepotest.Server) *gitrepotest.Writer {
	t.Helper()
	w := gitrepotest.NewWriter(t, server.URL())
	w.Seed("main", map[string]string{
		"dev/tag.yaml": "v1\n", "dev/other.yaml": "other\n", "dev/picture.png": strings.Repeat("large", 1000),
		"prod/tag.yaml": "prod\n",
	})
	return w
}

func mustWrite(t testing.TB, repository overlays.Repository, change overlays.Change) overlays.Written {
	t.Helper()
	written, err := repository.Write(within(t), change)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func mustRead(t testing.TB, repository overlays.Repository, name string) string {
	t.Helper()
	tip, err := repository.Tip(within(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	content, err := fs.ReadFile(tip.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// objectFiles are the packs and loose objects of all stores below a directory.
func objectFiles(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(path, "/objects/") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestIdleTipCostsOneRequest(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	seed(t, server)
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	mustRead(t, repository, "dev/tag.yaml")
	before := server.Requests()
	if _, err := repository.Tip(within(t), "main"); err != nil {
		t.Fatal(err)
	}
	if n := server.Requests() - before; n != 1 {
		t.Errorf("a tip that did not move took %d requests, want 1", n)
	}
	before = server.Requests()
	mustRead(t, repository, "dev/other.yaml")
	if n := server.Requests() - before; n != 1 {
		t.Errorf("a second file of the directory took %d requests, want 1: the directory is fetched at once", n)
	}
}

// TestWarmWriteCostsTwoRequests: a push says first where the branches are, so to
// ask before it would be one request too many.
func TestWarmWriteCostsTwoRequests(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	seed(t, server)
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	mustRead(t, repository, "dev/tag.yaml")
	proposal := setTag("v3")
	proposal.Branch, proposal.Base = "serin/dev", "main"
	for name, change := range map[string]overlays.Change{"commit": setTag("v2"), "proposal": proposal} {
		before := server.Requests()
		mustWrite(t, repository, change)
		if n := server.Requests() - before; n != 2 {
			t.Errorf("a %s took %d requests, want 2", name, n)
		}
	}
}

func TestContentsAreLeftOut(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	seed(t, server)
	dir := t.TempDir()
	repository := open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote())
	mustWrite(t, repository, setTag("v2"))
	for _, file := range objectFiles(t, dir) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 3000 {
			t.Errorf("%s has %d bytes: the picture was fetched", file, info.Size())
		}
	}
}

// TestServerThatGivesNoObjectByHash leaves contents out but does not hand them
// out later: the tip is fetched whole then, and whole from the start after that.
func TestServerThatGivesNoObjectByHash(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{FilterOnly: true})
	w := seed(t, server)
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	for _, tag := range []string{"v2", "v3"} {
		mustWrite(t, repository, setTag(tag))
		w.Commit("main", map[string]string{"prod/tag.yaml": "prod " + tag + "\n"})
		if got := mustRead(t, repository, "prod/tag.yaml"); got != "prod "+tag+"\n" {
			t.Errorf("read %q", got)
		}
	}
}

// TestDamagedStoreIsCreatedAnew damages the store in each way between two
// writes, in the same process and in the next one.
func TestDamagedStoreIsCreatedAnew(t *testing.T) {
	each := func(do func(path string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, path := range objectFiles(t, dir) {
				if err := os.Chmod(path, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := do(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	damages := map[string]func(t *testing.T, dir string){
		"removed":   each(os.Remove),
		"emptied":   each(func(path string) error { return os.Truncate(path, 0) }),
		"shortened": each(func(path string) error { return os.Truncate(path, 40) }),
		"garbage":   each(func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("garbage", 100)), 0o600) }),
		"references": func(t *testing.T, dir string) {
			refs, err := filepath.Glob(filepath.Join(dir, "*", "git", "refs", "serin", "*"))
			if err != nil || len(refs) == 0 {
				t.Fatalf("no references: %v", err)
			}
			for _, ref := range refs {
				if err := os.WriteFile(ref, []byte(strings.Repeat("1", 40)+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
			w := seed(t, server)
			dir := t.TempDir()
			first := gitrepo.New(dir, gitrepo.Options{})
			repository := open(t, first, server.Remote())
			mustWrite(t, repository, setTag("v2"))
			damage(t, dir)
			if got := mustRead(t, repository, "prod/tag.yaml"); got != "prod\n" {
				t.Errorf("read after the damage: %q", got)
			}
			mustWrite(t, repository, setTag("v3"))
			damage(t, dir)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote()), setTag("v4"))
			if got := w.Tree("main")["dev/tag.yaml"]; got != "v4\n" {
				t.Errorf("the branch holds %q, want v4", got)
			}
		})
	}
}

// TestStoreOfAnotherProcessIsLeftAlone opens the same directory twice, as two
// processes do, while both write.
func TestStoreOfAnotherProcessIsLeftAlone(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	w := seed(t, server)
	dir := t.TempDir()
	one := open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote())
	two := open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote())
	mustWrite(t, one, setTag("v2"))
	mustWrite(t, two, setTag("v3"))
	mustWrite(t, one, setTag("v4"))
	if got := w.Tree("main")["dev/tag.yaml"]; got != "v4\n" {
		t.Errorf("the branch holds %q, want v4", got)
	}
	stores, err := os.ReadDir(dir)
	if err != nil || len(stores) != 2 {
		t.Errorf("%d stores, %v, want one for each", len(stores), err)
	}
}

// TestKilledBetweenFetchAndPush leaves what a killed process leaves: a pack
// that came in half, and objects without a reference.
func TestKilledBetweenFetchAndPush(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	w := seed(t, server)
	dir := t.TempDir()
	first := gitrepo.New(dir, gitrepo.Options{})
	mustRead(t, open(t, first, server.Remote()), "dev/tag.yaml")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	stores, err := filepath.Glob(filepath.Join(dir, "*", "git"))
	if err != nil || len(stores) != 1 {
		t.Fatalf("stores: %v, %v", stores, err)
	}
	if err := os.RemoveAll(filepath.Join(stores[0], "refs", "serin")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(filepath.Dir(stores[0]), "incoming-1"), filepath.Join(stores[0], "objects", "pack", "tmp_pack_1")} {
		if err := os.WriteFile(name, []byte("PACK half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, open(t, newRepositories(t, dir, gitrepo.Options{}), server.Remote()), setTag("v2"))
	if got := w.Tree("main")["dev/tag.yaml"]; got != "v2\n" {
		t.Errorf("the branch holds %q, want v2", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(stores[0]), "incoming-1")); !os.IsNotExist(err) {
		t.Errorf("the half pack is still there: %v", err)
	}
}

func TestStoreIsBounded(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	w := seed(t, server)
	limits := map[string]gitrepo.Options{
		"files": {Limits: gitrepo.Limits{Files: 20}},
		"age":   {Limits: gitrepo.Limits{Age: time.Hour}, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }},
	}
	for name, options := range limits {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			repository := open(t, newRepositories(t, dir, options), server.Remote())
			for range 12 {
				w.Commit("main", map[string]string{"prod/tag.yaml": t.Name() + w.Git("rev-parse", "HEAD")})
				mustRead(t, repository, "prod/tag.yaml")
			}
			if n := len(objectFiles(t, dir)); n > 30 {
				t.Errorf("%d files in the store", n)
			}
		})
	}
	small := newRepositories(t, t.TempDir(), gitrepo.Options{Limits: gitrepo.Limits{Bytes: 100}})
	if _, err := open(t, small, server.Remote()).Tip(within(t), "main"); err == nil || !strings.Contains(err.Error(), "the limit of a store") {
		t.Errorf("a pack larger than the store: got %v", err)
	}
}

// TestRenewedCredentialsLeaveNoStore: an access token that is renewed each day
// or hour must not leave a store of its own each time, for as long as the process
// lives.
func TestRenewedCredentialsLeaveNoStore(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	seed(t, server)
	now, dir := time.Now(), t.TempDir()
	repositories := newRepositories(t, dir, gitrepo.Options{Now: func() time.Time { return now }})
	for _, token := range []string{"monday", "tuesday", "wednesday"} {
		renewed := server.Remote()
		renewed.KnownHosts = []byte(token)
		for range 5 {
			mustRead(t, open(t, repositories, renewed), "dev/tag.yaml")
			mustRead(t, open(t, repositories, server.Remote()), "dev/tag.yaml")
			now = now.Add(6 * time.Hour)
		}
	}
	stores, err := os.ReadDir(dir)
	if err != nil || len(stores) != 2 {
		t.Errorf("%d stores, %v, want those of the two that are in use", len(stores), err)
	}
}

// TestHostThatTakesNoRewriteIsNotRaced: what a host refuses for good is no race,
// though it says so in the same words. The error gives the host's, and the host
// is not asked over and over.
func TestHostThatTakesNoRewriteIsNotRaced(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true})
	w := seed(t, server)
	run := func(args ...string) { w.Git(append([]string{"--git-dir", server.Dir}, args...)...) }
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	for _, c := range []struct {
		name, branch, want string
		refuse             func()
	}{
		{"no rewriting", "serin/web/dev", "non-fast-forward", func() { run("config", "receive.denyNonFastForwards", "true") }},
		{"a branch in the way", "taken/web/dev", "taken", func() { run("branch", "taken", "main") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			proposal := setTag("v2")
			proposal.Branch, proposal.Base = c.branch, "main"
			if c.branch == "serin/web/dev" {
				mustWrite(t, repository, proposal)
			}
			c.refuse()
			before := server.Requests()
			proposal.Subject, proposal.Edit = "Promote v3", setTag("v3").Edit
			_, err := repository.Write(within(t), proposal)
			if err == nil || errors.Is(err, overlays.ErrMoved) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.branch) {
				t.Errorf("got %v, want an error with %q and the branch that is no lost race", err, c.want)
			}
			if n := server.Requests() - before; n > 60 {
				t.Errorf("the host was asked %d times", n)
			}
		})
	}
}

// TestBusyHostIsAskedAgain: a host that is busy, and one whose answer to a push
// is lost after the push was done, cost a retry and no second commit.
func TestBusyHostIsAskedAgain(t *testing.T) {
	var busy, lost atomic.Int32
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case busy.Add(-1) >= 0:
				http.Error(w, "busy", http.StatusServiceUnavailable)
			case strings.HasSuffix(r.URL.Path, "git-receive-pack") && r.Method == http.MethodPost && lost.Add(-1) >= 0:
				next.ServeHTTP(&blackHole{header: http.Header{}}, r)
				http.Error(w, "the answer is lost", http.StatusBadGateway)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}})
	w := seed(t, server)
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	busy.Store(2)
	mustRead(t, repository, "dev/tag.yaml")
	lost.Store(1)
	written := mustWrite(t, repository, setTag("v2"))
	if tip := w.Update("main"); tip != written.Revision || !written.Changed {
		t.Errorf("tip %s, written %+v", tip, written)
	}
	if got := w.Subjects("main"); len(got) != 2 {
		t.Errorf("commits %v, want one promotion", got)
	}
}

// blackHole swallows an answer.
type blackHole struct{ header http.Header }

// Header is never sent.
func (b *blackHole) Header() http.Header { return b.header }

// Write sends nothing.
func (*blackHole) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader sends nothing.
func (*blackHole) WriteHeader(int) {}

// TestRedirects: what leads elsewhere on the same server is followed, and another
// server never gets the credentials.
func TestRedirects(t *testing.T) {
	var credentials atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			credentials.Store(true)
		}
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	t.Cleanup(other.Close)
	for _, to := range []string{"", other.URL} {
		server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true, Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if path, old := strings.CutPrefix(r.URL.Path, "/old/"); old {
					http.Redirect(w, r, to+"/"+path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
					return
				}
				next.ServeHTTP(w, r)
			})
		}})
		seed(t, server)
		remote := server.Remote()
		remote.URL = strings.Replace(remote.URL, "/repository.git", "/old/repository.git", 1)
		repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), remote)
		for range 2 {
			_, read := repository.Tip(within(t), "main")
			_, written := repository.Write(within(t), setTag("v2"))
			for _, err := range []error{read, written} {
				if to == "" && err != nil {
					t.Errorf("a redirect on the same server: %v", err)
				}
				if to != "" && (err == nil || !strings.Contains(err.Error(), "leads to another server, "+to)) {
					t.Errorf("a redirect to another server: got %v, want an error that names %s", err, to)
				}
			}
		}
	}
	if credentials.Load() {
		t.Error("another server got the credentials")
	}
}

func TestOpenRefuses(t *testing.T) {
	const secret = "p4ss%zz"
	tests := map[string]struct {
		remote overlays.Remote
		want   string
	}{
		"unreadable URL":        {overlays.Remote{URL: "https://u:" + secret + "@host/x"}, "cannot be read"},
		"other scheme":          {overlays.Remote{URL: "file:///tmp/x"}, `the scheme "file" is not supported`},
		"CA":                    {overlays.Remote{URL: "https://host/x", CA: []byte("none")}, "no PEM certificate"},
		"ssh without key":       {overlays.Remote{URL: "ssh://git@host/x"}, "no private key"},
		"ssh, unknown host":     {overlays.Remote{URL: "ssh://git@host/x", PrivateKey: []byte("k")}, "no known_hosts"},
		"ssh, key not readable": {overlays.Remote{URL: "ssh://git@host/x", PrivateKey: []byte(secret), KnownHosts: []byte("h")}, "private key cannot be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newRepositories(t, t.TempDir(), gitrepo.Options{}).Open(within(t), test.remote)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want an error with %q and without the secret", err, test.want)
			}
		})
	}
}

// TestCredentialsInTheURL are taken out of it, and not repeated in errors.
func TestCredentialsInTheURL(t *testing.T) {
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{})
	seed(t, server)
	repositories := newRepositories(t, t.TempDir(), gitrepo.Options{})
	if got := mustRead(t, open(t, repositories, overlays.Remote{URL: server.URL()}), "dev/tag.yaml"); got != "v1\n" {
		t.Errorf("read %q", got)
	}
	_, err := open(t, repositories, overlays.Remote{URL: server.Base + "/../none.git?private_token=s3cret"}).Tip(within(t), "main")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	_, err = open(t, repositories, overlays.Remote{URL: strings.Replace(server.URL(), "repository.git", "none.git", 1)}).Tip(within(t), "main")
	if err == nil || !strings.Contains(err.Error(), "no such repository") || strings.Contains(err.Error(), gitrepotest.Password) {
		t.Errorf("got %v", err)
	}
}

// TestCallerNeedNotWait: a host that does not answer keeps nobody longer than
// the caller's context, and the next one is served.
func TestCallerNeedNotWait(t *testing.T) {
	hold := make(chan struct{})
	var slow atomic.Bool
	server := gitrepotest.NewServer(t, gitrepotest.ServerOptions{Partial: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slow.Load() && strings.HasSuffix(r.URL.Path, "git-upload-pack") && r.Method == http.MethodPost {
				<-hold
			}
			next.ServeHTTP(w, r)
		})
	}})
	seed(t, server)
	repository := open(t, newRepositories(t, t.TempDir(), gitrepo.Options{}), server.Remote())
	slow.Store(true)
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	_, err := repository.Tip(ctx, "main")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	close(hold)
	if got := mustRead(t, repository, "dev/tag.yaml"); got != "v1\n" {
		t.Errorf("read %q", got)
	}
}
