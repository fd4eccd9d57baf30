package swarm

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/crypto"
)

const patience = 90 * time.Second

func node(t *testing.T, role string, secret byte, key crypto.PrivKey) *Node {
	t.Helper()
	n, err := New(Options{
		Agent:    Agent("v1", role),
		Listen:   "/ip4/127.0.0.1/tcp/0",
		Secret:   slices.Repeat([]byte{secret}, 32),
		Identity: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// serve answers IdentityPath for n and returns its host:port.
func serve(t *testing.T, n *Node) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != IdentityPath {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(n.Identity())
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func joiner(n *Node, masters ...string) *Joiner {
	return NewJoiner(n, masters, slog.New(slog.DiscardHandler))
}

// eventually waits until done, which libp2p's Identify makes true soon after
// a connection stands.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-ticker.C:
		}
	}
}

// joins tries as often as Run would.
func joins(t *testing.T, j *Joiner) {
	t.Helper()
	eventually(t, "all masters are joined", func() bool { return j.join(t.Context()) == nil })
}

func roles(n *Node) []string {
	found := []string{}
	for _, p := range n.Peers() {
		found = append(found, p.Direction+" "+p.Agent+" "+p.Role)
	}
	return found
}

func TestWorkerJoinsMaster(t *testing.T) {
	master, worker := node(t, "master", 1, nil), node(t, "worker", 1, nil)
	joins(t, joiner(worker, serve(t, master)))
	eventually(t, "the worker sees the master", func() bool {
		return cmp.Equal(roles(worker), []string{"outbound ipfs-kit/v1/master master"})
	})
	eventually(t, "the master sees the worker", func() bool {
		return cmp.Equal(roles(master), []string{"inbound ipfs-kit/v1/worker worker"})
	})
	if got, want := worker.Peers()[0].Peer, master.Identity().ID; got != want {
		t.Errorf("the worker's peer is %s, want the master %s", got, want)
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	master, stranger := node(t, "master", 1, nil), node(t, "worker", 2, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	info, err := addressInfo(master.Identity())
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.host.Connect(ctx, info); err == nil {
		t.Error("a worker with another secret joined")
	}
	if ctx.Err() != nil {
		t.Fatal("the stranger was not refused in time")
	}
	if got := append(master.Peers(), stranger.Peers()...); len(got) != 0 {
		t.Errorf("peers across secrets: %v", got)
	}
}

func TestWorkerFindsMasterAgain(t *testing.T) {
	key, err := LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first := node(t, "master", 1, key)
	current := first
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(current.Identity())
	}))
	t.Cleanup(server.Close)
	worker := node(t, "worker", 1, nil)
	j := joiner(worker, strings.TrimPrefix(server.URL, "http://"))
	joins(t, j)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker misses the master", func() bool { return len(worker.Peers()) == 0 })

	current = node(t, "master", 1, key) // same identity, another port
	eventually(t, "the worker has joined again", func() bool {
		return j.join(t.Context()) == nil && len(worker.Peers()) == 1
	})
	if got, want := worker.Peers()[0].Peer, first.Identity().ID; got != want {
		t.Errorf("the master came back as %s, want %s", got, want)
	}
}

func TestIdentityStays(t *testing.T) {
	directory := t.TempDir()
	first, err := LoadIdentity(directory)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadIdentity(directory)
	if err != nil {
		t.Fatal(err)
	}
	other, err := LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equals(second) {
		t.Error("the identity changed between two reads of one directory")
	}
	if first.Equals(other) {
		t.Error("two directories hold the same identity")
	}
}

func TestAddressInfoPrefersRemoteAddresses(t *testing.T) {
	const id = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	tests := map[string]struct {
		addresses, want []string
	}{
		"pod":   {[]string{"/ip4/127.0.0.1/tcp/4001", "/ip4/10.0.0.7/tcp/4001"}, []string{"/ip4/10.0.0.7/tcp/4001"}},
		"local": {[]string{"/ip4/127.0.0.1/tcp/4001"}, []string{"/ip4/127.0.0.1/tcp/4001"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			identity := Identity{ID: id}
			for _, address := range test.addresses {
				identity.Addresses = append(identity.Addresses, address+"/p2p/"+id)
			}
			info, err := addressInfo(identity)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, address := range info.Addrs {
				got = append(got, address.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}
