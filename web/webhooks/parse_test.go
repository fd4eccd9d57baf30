package webhooks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// payload reads a recorded webhook.
func payload(t *testing.T, path string) (http.Header, []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(bytes.NewReader(content))
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(header), body
}

func payloads(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.http")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d payloads, error %v", len(paths), err)
	}
	return paths
}

func TestParseRecordedPayloads(t *testing.T) {
	type answer struct {
		Source string
		Hints  []Hint
	}
	for _, path := range payloads(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".http")
		t.Run(name, func(t *testing.T) {
			header, body := payload(t, path)
			from, hints, err := parse(header, body)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".http") + ".want.json"
			if *update {
				content, err := json.MarshalIndent(answer{from, hints}, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, append(content, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			content, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			var want answer
			if err := json.Unmarshal(content, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, answer{from, hints}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParseOfDamagedPayloads cuts each payload short and turns its values into
// others: the answer may be an error or nothing, never a panic or half a hint.
func TestParseOfDamagedPayloads(t *testing.T) {
	for _, path := range payloads(t) {
		header, body := payload(t, path)
		for cut := 0; cut < len(body)-2; cut += 7 {
			if _, _, err := parse(header, body[:cut]); err == nil {
				t.Errorf("%s cut at %d: no error", path, cut)
			}
		}
		for _, other := range []string{"null", "7", "[]", "{}", `""`} {
			var top map[string]json.RawMessage
			if err := json.Unmarshal(body, &top); err != nil {
				t.Fatal(err)
			}
			for key, was := range top {
				top[key] = json.RawMessage(other)
				damaged, err := json.Marshal(top)
				if err != nil {
					t.Fatal(err)
				}
				top[key] = was
				_, hints, err := parse(header, damaged)
				if err != nil {
					continue
				}
				for _, h := range hints {
					if h.Kind == Image && h.Repository == "" || h.Kind != Image && len(h.URLs) == 0 {
						t.Errorf("%s with %s = %s: %+v", path, key, other, h)
					}
				}
			}
		}
	}
}

func TestParseOfForms(t *testing.T) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	_, hints, err := parse(header, []byte("payload=%7B%22image%22%3A%22host.example%2Fweb%3A1%22%7D"))
	if diff := cmp.Diff([]Hint{{Kind: Image, Repository: "host.example/web", Tag: "1"}}, hints); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, _, err := parse(header, []byte(`{"image":"a/b"}`)); err == nil {
		t.Error("a form without payload: no error")
	}
}

func TestParseBoundsHints(t *testing.T) {
	tags := make([]string, 1000)
	for i := range tags {
		tags[i] = strings.Repeat("x", i%500+1)
	}
	body, err := json.Marshal(map[string]any{"docker_url": "quay.io/acme/web", "updated_tags": tags})
	if err != nil {
		t.Fatal(err)
	}
	_, hints, err := parse(http.Header{}, body)
	if err != nil || len(hints) != maxHints {
		t.Errorf("%d hints, error %v; want %d", len(hints), err, maxHints)
	}
}

func TestHintMatches(t *testing.T) {
	cases := []struct {
		name  string
		hint  Hint
		image string
		git   string
		want  bool
	}{
		{name: "same image", hint: Hint{Kind: Image, Repository: "ghcr.io/acme/web"}, image: "ghcr.io/acme/web", want: true},
		{name: "inner name of the registry", hint: Hint{Kind: Image, Repository: "127.0.0.1:5000/acme/web"}, image: "registry.serin.svc:5000/acme/web", want: true},
		{name: "repository key as host", hint: Hint{Kind: Image, Repository: "acme.jfrog.io/docker-local/web"}, image: "docker-local.acme.jfrog.io/web", want: true},
		{name: "official image", hint: Hint{Kind: Image, Repository: "docker.io/library/nginx"}, image: "nginx", want: true},
		{name: "another image", hint: Hint{Kind: Image, Repository: "ghcr.io/acme/web"}, image: "ghcr.io/acme/worker"},
		{name: "half a name", hint: Hint{Kind: Image, Repository: "ghcr.io/acme/web"}, image: "ghcr.io/acme/myweb"},
		{name: "a branch is no image", hint: Hint{Kind: Branch, Repository: "ghcr.io/acme/web"}, image: "ghcr.io/acme/web"},
		{name: "https and ssh", hint: Hint{Kind: Branch, URLs: []string{"https://git.example/acme/deploy.git"}}, git: "git@git.example:acme/deploy", want: true},
		{name: "ssh with port", hint: Hint{Kind: Branch, URLs: []string{"git@git.example:acme/deploy.git"}}, git: "ssh://git@git.example:2222/acme/deploy.git", want: true},
		{name: "capitals", hint: Hint{Kind: PullRequest, URLs: []string{"https://github.com/Acme/Deploy"}}, git: "https://github.com/acme/deploy.git", want: true},
		{name: "another repository", hint: Hint{Kind: Branch, URLs: []string{"https://git.example/acme/deploy.git"}}, git: "https://git.example/acme/web.git"},
		{name: "no address", hint: Hint{Kind: Branch}, git: ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := c.hint.MatchesGit(c.git)
			if c.image != "" {
				got = c.hint.MatchesImage(c.image)
			}
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
