package probe_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/probe"
)

// peer is a pod of a peer network, on an address of its own.
type peer struct {
	pod   probe.Pod
	id    string
	peers []string
}

// serve runs pods on 127.0.0.2, 127.0.0.3, ... and one port.
func serve(t *testing.T, handlers ...http.Handler) (port int32, pods []probe.Pod) {
	t.Helper()
	for i, h := range handlers {
		ip := fmt.Sprintf("127.0.0.%d", i+2)
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
		if err != nil {
			t.Fatal(err)
		}
		port = int32(l.Addr().(*net.TCPAddr).Port)
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
		pods = append(pods, probe.Pod{Name: fmt.Sprintf("pod-%d", i), IP: ip})
	}
	return port, pods
}

func newProber(t *testing.T) *probe.Prober {
	t.Helper()
	p, err := probe.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func body(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", "2")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	})
}

func TestHTTP(t *testing.T) {
	for _, tc := range []struct {
		name       string
		handler    http.Handler
		expression string
		pass       bool
		message    string
	}{
		{"default accepts 200", body(200, ""), "", true, "status 200"},
		{"default refuses 500", body(500, ""), "", false, "status 500 does not fulfil"},
		{"redirects are not followed", http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound), "status == 302", true, "status 302"},
		{"json field", body(200, `{"status":"ok","peers":3}`), `json.status == "ok" && json.peers >= 2`, true, ""},
		{"json field too low", body(200, `{"status":"ok","peers":1}`), `json.status == "ok" && json.peers >= 2`, false, "does not fulfil"},
		{"header", body(200, ""), `headers["x-version"] == "2"`, true, ""},
		{"body is not json", body(200, `oops secret`), `json.ok`, false, "not JSON"},
		{"missing field", body(200, `{}`), `json.ok`, false, "no such key"},
		{"too large", body(200, strings.Repeat("x", 2<<20)), "", false, "1 MiB"},
		{"large headers", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 100<<10))
		}), "", false, "65536 bytes"},
		{"costly", body(200, manyNumbers), `json.all(a, json.all(b, !body.contains("x")))`, false, "the limit"},
		{"key out of the body", body(200, `"secret"`), `{"a": 1}[json] == 1`, false, "no such key: guard"},
		{"pattern out of the body", body(200, `"secret"`), `"a".matches("(" + json)`, false, "regular expression"},
		{"an error beside what is no JSON", body(200, `secret`), `{"a": 1}[body] == 1`, false, "no such key: guard"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port, pods := serve(t, tc.handler)
			check := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: port, Path: "/health", Expression: tc.expression}}
			o := newProber(t).Look(t.Context(), check, probe.Pods{Canary: pods}, time.Now())
			if o.Absence != nil {
				t.Fatalf("absence %v", o.Absence)
			}
			got := o.Probes[0]
			if got.Pass != tc.pass || !strings.Contains(got.Message, tc.message) {
				t.Errorf("got %+v, want pass %v and %q", got, tc.pass, tc.message)
			}
			if strings.Contains(got.Message, "secret") {
				t.Errorf("the message holds the body: %s", got.Message)
			}
		})
	}
}

// manyNumbers is a list that is cheap to go through once, and dear n times.
var manyNumbers = "[" + strings.Repeat("1,", 999) + "1]"

func TestExpressionsThatOutgrowTheirAnswerAreRefused(t *testing.T) {
	for _, expression := range []string{
		`body.replace("", body).size() > 0`, `lists.range(1000000).size() > 0`,
		`sets.contains(json, json)`, `json.distinct().size() > 0`, `"%s".format([body]) != ""`,
	} {
		check := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 1, Expression: expression}}
		if err := newProber(t).Check(check); err == nil {
			t.Errorf("%s compiles", expression)
		}
	}
}

func TestHTTPUnreachable(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	port, pods := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	pods = append(pods, probe.Pod{Name: "away", IP: "127.0.0.99"}, probe.Pod{Name: "new"})
	check := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: port, Timeout: 2 * time.Second}}
	prober := newProber(t)
	prober.Rest()
	o := prober.Look(t.Context(), check, probe.Pods{Canary: pods}, time.Now())
	for i, want := range []string{"no answer within 2s", "refused", "no address yet"} {
		if got := o.Probes[i]; got.Pass || !strings.Contains(got.Message, want) {
			t.Errorf("pod %d: got %+v, want a failure with %q", i, got, want)
		}
	}
}

func TestWrongExpressions(t *testing.T) {
	p := newProber(t)
	for _, expression := range []string{"status ==", "nothing > 1", "status + 1", `"text"`} {
		check := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 1, Expression: expression}}
		o := p.Look(t.Context(), check, probe.Pods{Canary: []probe.Pod{{Name: "a", IP: "127.0.0.2"}}}, time.Now())
		if o.Absence == nil || o.Absence.Kind != analysis.BadQuery {
			t.Errorf("%q: got %+v, want a BadQuery", expression, o)
		}
		if err := p.Check(check); err == nil {
			t.Errorf("%q: Check accepts it", expression)
		}
	}
}

// network serves pods in the shape of IPFS's swarm API.
func network(t *testing.T, nodes ...*peer) int32 {
	t.Helper()
	handlers := make([]http.Handler, len(nodes))
	for i, n := range nodes {
		mux := http.NewServeMux()
		mux.HandleFunc("/api/v0/id", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"ID": n.id})
		})
		mux.HandleFunc("/api/v0/swarm/peers", func(w http.ResponseWriter, _ *http.Request) {
			list := []map[string]string{}
			for _, id := range n.peers {
				list = append(list, map[string]string{"Addr": "/ip4/10.0.0.1/tcp/4001", "Peer": id})
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"Peers": list})
		})
		handlers[i] = mux
	}
	port, pods := serve(t, handlers...)
	for i, n := range nodes {
		n.pod = probe.Pod{Name: n.id, IP: pods[i].IP}
	}
	return port
}

func TestPeers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		canary []string
		master []string
		change func(*analysis.Peers)
		pass   bool
		want   string
	}{
		{name: "connected", canary: []string{"master", "s1", "s2"}, master: []string{"canary"}, pass: true, want: "3 peers"},
		{name: "nobody", want: "0 peers, at least 1 wanted"},
		{name: "one listed twice", canary: []string{"s1", "s1"}, change: func(p *analysis.Peers) { p.Min = 2 }, want: "1 peers, at least 2 wanted"},
		{name: "fewer than stable", canary: []string{"master"}, master: []string{"canary"}, want: "50% of stable's median of 3"},
		{name: "without the master", canary: []string{"s1", "s2"}, master: []string{"canary"}, want: "master is not"},
		{name: "not seen by the master", canary: []string{"master", "s1", "s2"}, master: []string{"s1"}, want: "master does not"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			canary, master := &peer{id: "canary", peers: tc.canary}, &peer{id: "master", peers: tc.master}
			s1, s2 := &peer{id: "s1", peers: []string{"master", "s2", "x"}}, &peer{id: "s2", peers: []string{"master", "s1", "x"}}
			port := network(t, canary, master, s1, s2)
			spec := analysis.Peers{Port: port, Path: "/api/v0/swarm/peers", List: "json.Peers.map(p, p.Peer)", Min: 1, MinShareOfStable: 0.5,
				Self: &analysis.Identity{Path: "/api/v0/id", Expression: "json.ID"}, MustInclude: analysis.IncludeAny, SeenFromOtherSide: true}
			if tc.change != nil {
				tc.change(&spec)
			}
			o := newProber(t).Look(t.Context(), analysis.Check{Name: "p", Kind: analysis.KindPeers, Peers: &spec},
				probe.Pods{Canary: []probe.Pod{canary.pod}, Stable: []probe.Pod{s1.pod, s2.pod}, Required: []probe.Pod{master.pod}}, time.Now())
			if o.Absence != nil {
				t.Fatal(o.Absence)
			}
			want := analysis.ProbeResult{Pod: "canary", Pass: tc.pass, Number: o.Probes[0].Number, Message: o.Probes[0].Message}
			if diff := cmp.Diff([]analysis.ProbeResult{want}, o.Probes); diff != "" || !strings.Contains(want.Message, tc.want) {
				t.Errorf("want %q; got %q; (-want +got):\n%s", tc.want, want.Message, diff)
			}
		})
	}
}

// TestPeersAreAskedTogether states that the canary's, stable's and the required pods
// are asked at the same time: here none of them answers before all were asked.
func TestPeersAreAskedTogether(t *testing.T) {
	var asked atomic.Int32
	all := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 3 {
			close(all)
		}
		select {
		case <-all:
			_, _ = w.Write([]byte(`["a","b"]`))
		case <-r.Context().Done():
		}
	})
	port, pods := serve(t, handler, handler, handler)
	check := analysis.Check{Name: "p", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: port, Path: "/", List: "json", Min: 1, MinShareOfStable: 0.5,
		Self: &analysis.Identity{Path: "/", Expression: "json[0]"}, MustInclude: analysis.IncludeAny}}
	o := newProber(t).Look(t.Context(), check, probe.Pods{Canary: pods[:1], Required: pods[1:2], Stable: pods[2:]}, time.Now())
	if o.Absence != nil || len(o.Probes) != 1 || !o.Probes[0].Pass {
		t.Errorf("got %+v", o)
	}
}

// TestLooksKeepOrder states that observations are in the order of the checks, and
// that of the pods, whichever answers first.
func TestLooksKeepOrder(t *testing.T) {
	slow := make(chan struct{})
	var quick atomic.Int32
	port, pods := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			select {
			case <-slow:
			case <-r.Context().Done():
			}
			return
		}
		w.WriteHeader(http.StatusTeapot)
		if quick.Add(1) == 2 {
			close(slow)
		}
	}))
	pods = append(pods, probe.Pod{Name: "new"})
	var asked []probe.Asked
	for _, name := range []string{"first", "second", "third"} {
		asked = append(asked, probe.Asked{Check: analysis.Check{Name: name, Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: port, Path: "/" + name}}, Pods: probe.Pods{Canary: pods}})
	}
	var got []string
	for _, o := range newProber(t).Looks(t.Context(), asked, time.Now()) {
		for _, r := range o.Probes {
			got = append(got, fmt.Sprintf("%s %s %g", o.Check, r.Pod, r.Number))
		}
	}
	want := []string{"first pod-0 200", "first new 0", "second pod-0 418", "second new 0", "third pod-0 418", "third new 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNoRequiredPod wants a hold, not a failure, when the masters are away.
func TestNoRequiredPod(t *testing.T) {
	canary := &peer{id: "canary", peers: []string{"x"}}
	port := network(t, canary)
	check := analysis.Check{Name: "p", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: port, Path: "/api/v0/swarm/peers", List: "json.Peers.map(p, p.Peer)",
		Self: &analysis.Identity{Path: "/api/v0/id", Expression: "json.ID"}, MustInclude: analysis.IncludeAll}}
	o := newProber(t).Look(t.Context(), check, probe.Pods{Canary: []probe.Pod{canary.pod}, Required: []probe.Pod{{Name: "master", IP: "127.0.0.99"}}}, time.Now())
	if o.Absence == nil || o.Absence.Kind != analysis.NoData {
		t.Errorf("got %+v, want NoData", o)
	}
}
