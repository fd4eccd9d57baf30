package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/examples/ipfs-kit/internal/swarm"
)

type fixedSwarm struct{}

func (fixedSwarm) Identity() swarm.Identity {
	return swarm.Identity{ID: "me", Addresses: []string{"/ip4/10.0.0.1/tcp/4001/p2p/me"}, AgentVersion: "ipfs-kit/v1/worker"}
}

func (fixedSwarm) Peers() []swarm.Peer {
	return []swarm.Peer{{Addr: "/ip4/10.0.0.2/tcp/4001", Peer: "boss", Direction: "outbound", Agent: "ipfs-kit/v1/master", Role: "master"}}
}

func newServer(variant Variant) *Server {
	return New(Options{Pod: "w-1", Version: "v1", Role: "worker", Variant: variant, WorkKiB: 4}, fixedSwarm{})
}

func get(t *testing.T, s *Server, path string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return recorder
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		want map[string]any
	}{
		"/health": {map[string]any{"status": "ok", "role": "worker", "version": "v1", "pod": "w-1", "peers": 1.0}},
		"/ready":  {map[string]any{"status": "ready"}},
		"/work": {map[string]any{"pod": "w-1", "version": "v1", "role": "worker",
			"sha256": "37554f9640a68d63a04ac40bf1dad44e91dea8a22b4dfbf53e8149750bf74f79"}},
		"/api/v0/id": {map[string]any{"ID": "me", "Addresses": []any{"/ip4/10.0.0.1/tcp/4001/p2p/me"}, "AgentVersion": "ipfs-kit/v1/worker"}},
		"/api/v0/swarm/peers": {map[string]any{
			"Identity": map[string]any{"ID": "me", "Addresses": []any{"/ip4/10.0.0.1/tcp/4001/p2p/me"}, "AgentVersion": "ipfs-kit/v1/worker"},
			"Peers": []any{map[string]any{"Addr": "/ip4/10.0.0.2/tcp/4001", "Peer": "boss", "Direction": "outbound",
				"Agent": "ipfs-kit/v1/master", "Role": "master"}},
		}},
	}
	server := newServer(Good)
	for path, test := range tests {
		t.Run(path, func(t *testing.T) {
			response := get(t, server, path)
			if response.Code != http.StatusOK {
				t.Fatalf("status %d: %s", response.Code, response.Body)
			}
			if got := response.Header().Get("X-Served-By") + " " + response.Header().Get("X-Version"); got != "w-1 v1" {
				t.Errorf("signed by %q, want %q", got, "w-1 v1")
			}
			var got map[string]any
			if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsVariantFailsATenth(t *testing.T) {
	const requests = 5000
	tests := map[Variant]struct{ least, most int }{Good: {0, 0}, Errors: {400, 600}}
	for variant, want := range tests {
		t.Run(string(variant), func(t *testing.T) {
			server := newServer(variant)
			failed := 0
			for range requests {
				switch response := get(t, server, "/work"); response.Code {
				case http.StatusOK:
				case http.StatusInternalServerError:
					failed++
					if response.Header().Get("X-Version") != "v1" {
						t.Fatal("a failure does not say who made it")
					}
				default:
					t.Fatalf("status %d", response.Code)
				}
			}
			if failed < want.least || failed > want.most {
				t.Errorf("%d of %d requests failed, want %d to %d", failed, requests, want.least, want.most)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	server := newServer(Good)
	if got := get(t, server, "/ready").Code; got != http.StatusOK {
		t.Errorf("/ready of good: status %d", got)
	}
	server.Drain()
	if got := get(t, server, "/ready").Code; got != http.StatusServiceUnavailable {
		t.Errorf("/ready while draining: status %d", got)
	}
	if got := get(t, server, "/work").Code; got != http.StatusOK {
		t.Errorf("/work while draining: status %d", got)
	}
	if got := get(t, newServer(Unready), "/ready").Code; got != http.StatusServiceUnavailable {
		t.Errorf("/ready of unready: status %d", got)
	}
}

func TestVariants(t *testing.T) {
	if NoPeers.Joins() || !Good.Joins() {
		t.Error("only no-peers stays alone")
	}
	if Good.Lifetime() != 0 || Crash.Lifetime() <= 0 {
		t.Error("only crash ends by itself")
	}
	if Good.delay() != 0 || Slow.delay() < 100*time.Millisecond {
		t.Error("only slow is slow")
	}
	if _, err := ParseVariant("wrong"); err == nil || !strings.Contains(err.Error(), "no-peers") {
		t.Errorf("ParseVariant: got %v, want an error that lists the variants", err)
	}
}

func TestMetrics(t *testing.T) {
	server := newServer(Good)
	for range 3 {
		get(t, server, "/work")
	}
	body := get(t, server, "/metrics").Body.String()
	for _, want := range []string{
		`http_requests_total{code="200",handler="work",method="get"} 3`,
		`http_request_duration_seconds_count{handler="work"} 3`,
		`ipfs_kit_peers 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}
