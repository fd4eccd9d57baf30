// Package server is the HTTP side of ipfs-kit: health, peers, metrics and the
// path that does work.
package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/serin-gitops/serin/examples/ipfs-kit/internal/swarm"
)

// Swarm is what the server tells of the peer-to-peer side.
type Swarm interface {
	Identity() swarm.Identity
	Peers() []swarm.Peer
}

// Options say what a Server answers.
type Options struct {
	// Pod and Version are sent with every response (X-Served-By, X-Version).
	Pod, Version string
	// Role is "master" or "worker".
	Role string
	// Variant chooses how the server misbehaves.
	Variant Variant
	// WorkKiB is how many KiB a request to /work hashes.
	WorkKiB int
}

// Server answers HTTP requests.
type Server struct {
	options  Options
	swarm    Swarm
	draining atomic.Bool
	failures *failures
	handler  http.Handler
}

type healthAnswer struct {
	Status  string `json:"status"`
	Role    string `json:"role"`
	Version string `json:"version"`
	Pod     string `json:"pod"`
	Peers   int    `json:"peers"`
}

type workAnswer struct {
	Pod     string `json:"pod"`
	Version string `json:"version"`
	Role    string `json:"role"`
	SHA256  string `json:"sha256"`
}

// peersAnswer has the shape of IPFS's /api/v0/swarm/peers; Identity, the one
// who answers, is an addition.
type peersAnswer struct {
	Identity swarm.Identity `json:"Identity"`
	Peers    []swarm.Peer   `json:"Peers"`
}

// New makes a Server whose metrics are in a registry of its own.
func New(options Options, peers Swarm) *Server {
	s := &Server{options: options, swarm: peers, failures: newFailures(options.Variant, options.Pod)}
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered, by handler, method and status code.",
	}, []string{"code", "method", "handler"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time from a request to its whole answer, by handler.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"handler"})
	registry.MustRegister(requests, durations,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ipfs_kit_peers", Help: "Peers this process is connected to.",
		}, func() float64 { return float64(len(peers.Peers())) }))

	mux := http.NewServeMux()
	count := func(name string, handler http.HandlerFunc) http.Handler {
		label := prometheus.Labels{"handler": name}
		return promhttp.InstrumentHandlerCounter(requests.MustCurryWith(label),
			promhttp.InstrumentHandlerDuration(durations.MustCurryWith(label), handler))
	}
	mux.Handle("GET /work", count("work", s.work))
	mux.Handle("GET /health", count("health", s.health))
	mux.Handle("GET /ready", count("ready", s.ready))
	// IPFS's own API answers to POST; Serin's checks and people use GET.
	mux.Handle("/api/v0/swarm/peers", count("peers", s.peers))
	mux.Handle(swarm.IdentityPath, count("id", s.identity))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	s.handler = s.signed(mux)
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Drain makes the server say that it is not ready, while it goes on serving:
// those who still send requests here have to learn first that they should not.
func (s *Server) Drain() { s.draining.Store(true) }

// signed lets every response say who made it.
func (s *Server) signed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", s.options.Pod)
		w.Header().Set("X-Version", s.options.Version)
		next.ServeHTTP(w, r)
	})
}

func (s *Server) work(w http.ResponseWriter, r *http.Request) {
	if delay := s.options.Variant.delay(); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	sum := sha256.New()
	block := make([]byte, 1024)
	for i := range s.options.WorkKiB {
		block[0] = byte(i)
		sum.Write(block)
	}
	if s.failures.next() {
		http.Error(w, "the block store is broken", http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, workAnswer{
		Pod: s.options.Pod, Version: s.options.Version, Role: s.options.Role, SHA256: hex.EncodeToString(sum.Sum(nil)),
	})
}

// health tells whether the process works. Peers are counted but not judged: a
// worker that lost its masters is not cured by a restart.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, healthAnswer{
		Status: "ok", Role: s.options.Role, Version: s.options.Version, Pod: s.options.Pod, Peers: len(s.swarm.Peers()),
	})
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	switch {
	case s.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case s.options.Variant == Unready:
		http.Error(w, "the block store is not open", http.StatusServiceUnavailable)
	default:
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	}
}

func (s *Server) peers(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, peersAnswer{Identity: s.swarm.Identity(), Peers: s.swarm.Peers()})
}

func (s *Server) identity(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.swarm.Identity())
}

// answer writes value as JSON. An error here is the client's having gone away.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
