package gitserver

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/embedded/gitserver/internal/hook"
)

// tip is what a branch is at on the server, empty where it is not there.
func (s served) tip(t *testing.T, branch string) string {
	t.Helper()
	out := mustGit(t, ".", "ls-remote", s.remote(t, "ci", testPassword), "refs/heads/"+branch)
	id, _, _ := strings.Cut(out, "\t")
	return id
}

// refusedPushes are pushes that must change nothing.
var refusedPushes = []struct {
	name    string
	options func(*Options)
	// prepare returns the arguments of git push.
	prepare func(t *testing.T, dir string) []string
	says    string
}{{
	name: "history of main rewritten",
	prepare: func(t *testing.T, dir string) []string {
		mustGit(t, dir, "reset", "-q", "--hard", "HEAD~1")
		commit(t, dir, "other", "o")
		return []string{"--force", "origin", "main"}
	},
	says: "non-fast-forward",
}, {
	name: "behind, with an expectation that is out of date",
	prepare: func(t *testing.T, dir string) []string {
		mustGit(t, dir, "push", "-q", "origin", "main:serin/p")
		commit(t, dir, "other", "o")
		return []string{"--force-with-lease=serin/p:" + mustGit(t, dir, "rev-parse", "HEAD~2"), "origin", "main:serin/p"}
	},
	says: "stale info",
}, {
	name:    "protected branch",
	options: func(o *Options) { o.Protected = []string{"release-*"} },
	prepare: func(t *testing.T, dir string) []string { return []string{"origin", "main:release-1"} },
	says:    "protected branch",
}, {
	name: "a name that is no branch",
	prepare: func(t *testing.T, dir string) []string {
		return []string{"origin", "main:refs/secret/x"}
	},
	says: "not a branch",
}, {
	name:    "the current branch deleted",
	prepare: func(t *testing.T, dir string) []string { return []string{"origin", ":main"} },
	says:    "current branch",
}, {
	name: "a tag moved",
	prepare: func(t *testing.T, dir string) []string {
		mustGit(t, dir, "push", "-q", "origin", "main~1:refs/tags/v1")
		return []string{"--force", "origin", "main:refs/tags/v1"}
	},
	says: "non-fast-forward",
}, {
	name: "one of an atomic pair refused",
	prepare: func(t *testing.T, dir string) []string {
		mustGit(t, dir, "reset", "-q", "--hard", "HEAD~1")
		commit(t, dir, "other", "o")
		return []string{"--atomic", "--force", "origin", "main", "main:feature"}
	},
	says: "atomic",
}, {
	name:    "more than the bound",
	options: func(o *Options) { o.MaxPushBytes = 1 << 20 },
	prepare: func(t *testing.T, dir string) []string {
		noise := make([]byte, 4<<20)
		_, _ = rand.Read(noise)
		commit(t, dir, "noise", string(noise))
		return []string{"origin", "main"}
	},
	says: "",
}}

func TestRefusedPushes(t *testing.T) {
	for _, test := range refusedPushes {
		t.Run(test.name, func(t *testing.T) {
			s, dir := seeded(t, test.options)
			main := s.tip(t, "main")
			args := append([]string{"push"}, test.prepare(t, dir)...)
			before := mustGit(t, ".", "ls-remote", s.remote(t, "ci", testPassword))
			out, err := git(dir, args...)
			if err == nil || !strings.Contains(out, test.says) {
				t.Errorf("git %s: %v\n%s\nwant a refusal that says %q", strings.Join(args, " "), err, out, test.says)
			}
			if got := s.tip(t, "main"); got != main {
				t.Errorf("main moved from %s to %s", main, got)
			}
			if diff := cmp.Diff(before, mustGit(t, ".", "ls-remote", s.remote(t, "ci", testPassword))); diff != "" {
				t.Errorf("references changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestProposalsMayBeRewrittenAndDeleted(t *testing.T) {
	s, dir := seeded(t, nil)
	mustGit(t, dir, "push", "-q", "origin", "main:serin/web/prod")
	mustGit(t, dir, "reset", "-q", "--hard", "HEAD~1")
	tip := commit(t, dir, "other", "o")
	mustGit(t, dir, "push", "-q", "--force", "origin", "HEAD:serin/web/prod")
	if got := s.tip(t, "serin/web/prod"); got != tip {
		t.Errorf("the proposal is at %s, want %s", got, tip)
	}
	mustGit(t, dir, "push", "-q", "origin", ":serin/web/prod")
	if got := s.tip(t, "serin/web/prod"); got != "" {
		t.Errorf("the proposal is still at %s", got)
	}
	// The directory of the deleted branch is not in the way of this one.
	mustGit(t, dir, "push", "-q", "origin", "HEAD:refs/heads/serin/web")
}

func TestAccess(t *testing.T) {
	s, dir := seeded(t, nil)
	tests := []struct {
		name, user, password string
		read, write          bool
	}{
		{"owner", "ci", testPassword, true, true},
		{"reader", "reader", testPassword, true, false},
		{"wrong password", "ci", "guess", false, false},
		{"unknown user", "root", testPassword, false, false},
		{"no password", "ci", "", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			remote := s.remote(t, test.user, test.password)
			out, err := git(".", "ls-remote", remote)
			if (err == nil) != test.read {
				t.Errorf("ls-remote: %v\n%s\nwant allowed: %v", err, out, test.read)
			}
			out, err = git(dir, "push", remote, "main:refs/heads/by-"+strings.ReplaceAll(test.name, " ", "-"))
			if (err == nil) != test.write {
				t.Errorf("push: %v\n%s\nwant allowed: %v", err, out, test.write)
			}
		})
	}
}

func TestAnonymousReadCannotPush(t *testing.T) {
	s, dir := seeded(t, func(o *Options) { o.AnonymousRead = true })
	mustGit(t, ".", "ls-remote", s.url+"/acme/deploy")
	if out, err := git(dir, "push", s.url+"/acme/deploy", "main:other"); err == nil {
		t.Errorf("an anonymous push was accepted:\n%s", out)
	}
}

func TestNamesStayInTheDirectory(t *testing.T) {
	s := serve(t, nil)
	for _, name := range []string{"", "..", "../x", "a/../b", "/etc", ".hidden", "a//b", "a/.git", "a.git/b", "a.lock", "a\x00b", "a b", "1/2/3/4/5"} {
		if err := s.Create(name); err == nil {
			t.Errorf("Create(%q) made a repository", name)
		}
	}
	found, err := os.ReadDir(s.options.Dir)
	if err != nil || len(found) > 0 {
		t.Errorf("the directory holds %v, %v", found, err)
	}
}

// TestBrokenPacks sends packs that are cut off, altered, or that lack objects.
func TestBrokenPacks(t *testing.T) {
	s, dir := seeded(t, nil)
	base := mustGit(t, dir, "rev-parse", "HEAD")
	tip := commit(t, dir, "new", "content of the new file\n")
	pack := filepath.Join(t.TempDir(), "p")
	list := mustGit(t, dir, "rev-list", "--objects", base+".."+tip)
	commitOnly := strings.SplitN(list, "\n", 2)[0]
	for name, objects := range map[string]string{"whole": list, "lacking": commitOnly} {
		write(t, filepath.Dir(pack), name+".list", objects+"\n")
	}
	read := func(name string) []byte {
		script := "git pack-objects -q --stdout < " + filepath.Join(filepath.Dir(pack), name+".list") + " > " + pack + "." + name
		mustGit(t, dir, "-c", "alias.run=!"+script, "run")
		content, err := os.ReadFile(pack + "." + name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	whole, lacking := read("whole"), read("lacking")
	altered := append([]byte{}, whole...)
	altered[len(altered)/2] ^= 0xff
	for name, body := range map[string][]byte{"cut off": whole[:len(whole)/2], "altered": altered, "lacking": lacking, "none": nil} {
		t.Run(name, func(t *testing.T) {
			answer := s.rawPush(t, base, tip, body)
			if strings.Contains(answer, "ok refs/heads/main") {
				t.Errorf("accepted: %q", answer)
			}
			if got := s.tip(t, "main"); got != base {
				t.Errorf("main is at %s, want %s", got, base)
			}
		})
	}
	if answer := s.rawPush(t, base, tip, whole); !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("the whole pack was refused: %q", answer)
	}
	mustGit(t, s.path("acme/deploy"), "fsck", "--full", "--strict")
}

// rawPush moves main from old to new with the pack, and returns the answer.
func (s served) rawPush(t *testing.T, old, new string, pack []byte) string {
	t.Helper()
	line := old + " " + new + " refs/heads/main\x00report-status"
	length := hex.EncodeToString([]byte{byte((len(line) + 4) >> 8), byte(len(line) + 4)})
	body := length + line + "0000" + string(pack)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/acme/deploy.git/git-receive-pack", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("ci", testPassword)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status + " " + string(text)
}

func TestPushIsAnnounced(t *testing.T) {
	type delivery struct {
		event, signature string
		body             []byte
	}
	deliveries := make(chan delivery, 10)
	first := true
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if first {
			// The first attempt fails; the server tries again.
			first = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		deliveries <- delivery{r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Signature"), body}
	}))
	t.Cleanup(receiver.Close)
	var pushes []Push
	s, dir := seeded(t, func(o *Options) {
		o.OnPush = func(p Push) { pushes = append(pushes, p) }
		o.Webhooks = []Webhook{{URL: receiver.URL + "/hooks/token", Secret: "hush"}}
	})
	got := <-deliveries
	var event hook.Event
	if err := json.Unmarshal(got.body, &event); err != nil {
		t.Fatal(err)
	}
	url := s.url + "/acme/deploy.git"
	tip := mustGit(t, dir, "rev-parse", "HEAD")
	zero := strings.Repeat("0", 40)
	want := hook.Event{
		Ref: "refs/heads/main", Before: zero, After: tip,
		Repository: hook.EventRepository{Name: "deploy", FullName: "acme/deploy", CloneURL: url, HTMLURL: s.url + "/acme/deploy"},
		Pusher:     hook.EventUser{Login: "ci"},
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if got.event != "push" || got.signature != hook.Sign("hush", got.body) {
		t.Errorf("event %q, signature %q", got.event, got.signature)
	}
	wantPushes := []Push{{Repository: "acme/deploy", URL: url, Ref: "refs/heads/main", Before: zero, After: tip, Pusher: "ci"}}
	if diff := cmp.Diff(wantPushes, pushes); diff != "" {
		t.Errorf("OnPush (-want +got):\n%s", diff)
	}
	if pushes[0].Branch() != "main" {
		t.Errorf("Branch() = %q", pushes[0].Branch())
	}
}
