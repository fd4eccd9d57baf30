package gitrepotest

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/serin-gitops/serin/overlays"
)

// The server's one account.
const (
	Username = "promoter"
	Password = "p4ss/w+rd"
)

// ServerOptions of NewServer.
type ServerOptions struct {
	// Partial lets clients leave out contents (uploadpack.allowFilter) and ask
	// for objects by hash (uploadpack.allowAnySHA1InWant).
	Partial bool
	// FilterOnly allows the filter, but no object by its hash.
	FilterOnly bool
	// Wrap stands between the clients and the server; nil lets all through.
	Wrap func(http.Handler) http.Handler
}

// Server is git http-backend, git's own server over HTTP, with one bare
// repository and basic authentication.
type Server struct {
	// Dir is the bare repository on disk.
	Dir string
	// Base is the repository's URL without credentials.
	Base string

	http     *httptest.Server
	requests atomic.Int64
}

// programs is where git's own programs are.
var programs = sync.OnceValues(func() (string, error) { return try(os.TempDir(), "git", "--exec-path") })

// NewServer starts a server with an empty repository; it ends with the test.
func NewServer(t testing.TB, options ServerOptions) *Server {
	t.Helper()
	root := t.TempDir()
	s := &Server{Dir: filepath.Join(root, "repository.git")}
	run(t, root, "git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", s.Dir)
	settings := fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tbare = true\n[http]\n\treceivepack = true\n"+
		"[uploadpack]\n\tallowFilter = %t\n\tallowAnySHA1InWant = %t\n", options.Partial || options.FilterOnly, options.Partial)
	if err := os.WriteFile(filepath.Join(s.Dir, "config"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	programs, err := programs()
	if err != nil {
		t.Fatalf("git --exec-path: %v\n%s", err, programs)
	}
	handler := s.authenticated(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(programs), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + Username},
	})
	if options.Wrap != nil {
		handler = options.Wrap(handler)
	}
	s.http = httptest.NewServer(handler)
	t.Cleanup(s.http.Close)
	s.Base = s.http.URL + "/repository.git"
	return s
}

func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		username, password, ok := r.BasicAuth()
		if !ok || username != Username || password != Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			// A careless server repeats what it was sent.
			http.Error(w, "refused: "+username+" "+password, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Requests is how many requests have come so far.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Remote is the repository as Serin opens it.
func (s *Server) Remote() overlays.Remote {
	return overlays.Remote{URL: s.Base, Username: Username, Password: Password}
}

// URL is the repository as the git command line opens it.
func (s *Server) URL() string {
	u, err := url.Parse(s.Base)
	if err != nil {
		return s.Base
	}
	u.User = url.UserPassword(Username, Password)
	return u.String()
}

// Protect makes the server refuse commits to a branch, by a hook.
func (s *Server) Protect(t testing.TB, branch string) {
	t.Helper()
	hook := "#!/bin/sh\nwhile read old new ref; do\n" +
		"if [ \"$ref\" = \"refs/heads/" + branch + "\" ]; then echo \"open a pull request for " + branch + "\" >&2; exit 1; fi\ndone\n"
	if err := os.MkdirAll(filepath.Join(s.Dir, "hooks"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "hooks", "pre-receive"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Fixture is the server as the suite wants it.
func (s *Server) Fixture(repositories overlays.Repositories) Fixture {
	wrong := s.Remote()
	wrong.Password = "wr0ng-s3cret"
	return Fixture{
		Repositories: repositories, Remote: s.Remote(), URL: s.URL(),
		Wrong: &wrong, Protect: s.Protect,
	}
}

// run runs a program and returns what it printed.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, err := try(dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		// A server by CGI takes no chunked bodies.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.postBuffer", "GIT_CONFIG_VALUE_0=104857600",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com",
	)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
