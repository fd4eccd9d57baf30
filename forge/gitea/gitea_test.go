package gitea

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/forge"
)

const testToken = "a-token-that-must-not-show"

func TestOptionsAreChecked(t *testing.T) {
	good := Options{URL: "https://git.example.com", Owner: "acme", Repository: "deploy", Token: testToken}
	tests := []struct {
		name   string
		change func(*Options)
		ok     bool
	}{
		{"complete", func(*Options) {}, true},
		{"no scheme", func(o *Options) { o.URL = "git.example.com" }, false},
		{"credentials in the URL", func(o *Options) { o.URL = "https://me:" + testToken + "@git.example.com" }, false},
		{"no owner", func(o *Options) { o.Owner = "" }, false},
		{"no token", func(o *Options) { o.Token = "" }, false},
		{"a CA without a certificate", func(o *Options) { o.CA = []byte("none") }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := good
			test.change(&options)
			_, err := New(options)
			if (err == nil) != test.ok {
				t.Errorf("New: %v, want accepted: %v", err, test.ok)
			}
			if err != nil && strings.Contains(err.Error(), testToken) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func TestLocate(t *testing.T) {
	tests := []struct {
		url  string
		want Options
		ok   bool
	}{
		{"https://git.example.com/acme/deploy.git", Options{URL: "https://git.example.com", Owner: "acme", Repository: "deploy"}, true},
		{"http://me:" + testToken + "@gitea.local:3000/acme/deploy", Options{URL: "http://gitea.local:3000", Owner: "acme", Repository: "deploy"}, true},
		{"https://example.com/git/acme/deploy.git/", Options{URL: "https://example.com/git", Owner: "acme", Repository: "deploy"}, true},
		{"git@git.example.com:acme/deploy.git", Options{}, false},
		{"https://git.example.com/deploy.git", Options{}, false},
	}
	for _, test := range tests {
		got, err := Locate(test.url)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != test.ok {
			t.Errorf("Locate(%q): %v (-want +got):\n%s", test.url, err, diff)
		}
	}
}

// TestAnswers maps what a server in trouble answers; the conformance suite runs
// against a real Gitea.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name    string
		answers []int
		want    error
		calls   int
	}{
		{"unauthorized", []int{401}, forge.ErrUnauthorized, 1},
		{"forbidden", []int{403}, forge.ErrUnauthorized, 1},
		{"not found", []int{404}, forge.ErrNotFound, 1},
		{"busy twice, then fine", []int{503, 429, 200}, nil, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "token "+testToken {
					t.Errorf("Authorization: %q", got)
				}
				w.WriteHeader(test.answers[min(calls, len(test.answers)-1)])
				calls++
				_ = json.NewEncoder(w).Encode(map[string]any{"message": "as told", "number": 7, "state": "open"})
			}))
			t.Cleanup(server.Close)
			host, err := New(Options{URL: server.URL, Owner: "acme", Repository: "deploy", Token: testToken})
			if err != nil {
				t.Fatal(err)
			}
			pr, err := host.Get(t.Context(), "7")
			if !errors.Is(err, test.want) || (test.want == nil && pr.ID != "7") {
				t.Errorf("Get = %+v, %v, want %v", pr, err, test.want)
			}
			if calls != test.calls {
				t.Errorf("%d requests, want %d", calls, test.calls)
			}
			if err != nil && strings.Contains(err.Error(), testToken) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}
