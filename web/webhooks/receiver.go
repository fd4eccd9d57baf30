// Package webhooks receives what registries and Git hosts send when something
// was pushed, and wakes whoever should look. Webhooks make Serin quick, never
// right: one that is lost, late, repeated or forged changes nothing, because
// what it says is looked up before anything is done, and polling goes on.
package webhooks

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang/groupcache/lru"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Prefix is the path under which a Receiver is to be served.
const Prefix = "/hooks/"

// Bounds of what is taken in.
const (
	maxBody      = 1 << 20
	keptLimiters = 4096
	// DefaultRate limits each client address, in requests per second.
	DefaultRate = 20
	// DefaultBurst is how many requests of one client address may come at once.
	DefaultBurst = 200
	// DefaultBodyTimeout is how long a sender may take over a body.
	DefaultBodyTimeout = 10 * time.Second
	// DefaultBodies is how many bodies are taken in at once: with the largest
	// body it bounds the memory that strangers can take.
	DefaultBodies = 64
)

// Outcomes, the label of serin_webhooks_total.
const (
	accepted     = "accepted"
	ignored      = "ignored"
	malformed    = "malformed"
	unauthorized = "unauthorized"
	tooLarge     = "too_large"
	limited      = "limited"
)

// Options say how a Receiver works.
type Options struct {
	// Secrets gives those that are valid for a scope: the path after Prefix,
	// such as "<namespace>/<pipeline>", or "" for the whole installation. None
	// means that the scope receives nothing. Secrets of "" are valid for every
	// path, and may themselves be the path. It is called for every request, so
	// it should answer from memory.
	Secrets func(scope string) []string
	// Wake is told where to look. It must not wait.
	Wake func(scope string, hint Hint)
	// Registerer takes the counters; nil leaves them uncollected.
	Registerer prometheus.Registerer
	// Rate (per second) and Burst limit each client address; 0 is the default.
	Rate  float64
	Burst int
	// BodyTimeout and Bodies bound what is taken in; 0 is the default.
	BodyTimeout time.Duration
	Bodies      int
}

// Receiver is an http.Handler for POST Prefix<anything>.
type Receiver struct {
	options Options
	total   *prometheus.CounterVec
	// bodies has a place for each body that may be taken in at once.
	bodies chan struct{}

	mu       sync.Mutex
	limiters *lru.Cache // client address -> *rate.Limiter
}

// New makes a Receiver.
func New(options Options) (*Receiver, error) {
	if options.Secrets == nil || options.Wake == nil {
		return nil, errors.New("webhooks: Secrets and Wake are both needed")
	}
	if options.Rate <= 0 {
		options.Rate = DefaultRate
	}
	if options.Burst <= 0 {
		options.Burst = DefaultBurst
	}
	options.BodyTimeout = cmp.Or(options.BodyTimeout, DefaultBodyTimeout)
	options.Bodies = cmp.Or(options.Bodies, DefaultBodies)
	r := &Receiver{options: options, limiters: lru.New(keptLimiters), bodies: make(chan struct{}, options.Bodies), total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serin_webhooks_total",
		Help: "Webhooks received, by who sent them and what became of them.",
	}, []string{"source", "outcome"})}
	if options.Registerer != nil {
		if err := options.Registerer.Register(r.total); err != nil {
			return nil, fmt.Errorf("webhooks: register the counter: %w", err)
		}
	}
	return r, nil
}

// ServeHTTP implements http.Handler. It answers 202 to all that is authentic
// and readable, of interest or not, so that senders do not disable the hook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path, found := strings.CutPrefix(req.URL.Path, Prefix)
	if !found || path == "" {
		http.NotFound(w, req)
		return
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "webhooks are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	if !r.limiter(req).Allow() {
		r.count(unknownSource, limited)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many webhooks; try again later", http.StatusTooManyRequests)
		return
	}
	body, err := r.body(w, req)
	if err != nil {
		r.refuseBody(w, err)
		return
	}
	scope, ok := r.authenticate(req, path, body)
	if !ok {
		// No word on what was wrong: it would help nobody but a guesser.
		r.count(unknownSource, unauthorized)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	r.receive(w, req, scope, body)
}

// errBusy: as many bodies as may be are being taken in.
var errBusy = errors.New("too many webhooks at once")

// body takes the body in. That is done before anything is known of the sender,
// as a signature is over all of it, so time and number are bounded.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	select {
	case r.bodies <- struct{}{}:
		defer func() { <-r.bodies }()
	default:
		return nil, errBusy
	}
	// What is not a connection, as in a test, has no time to bound.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.options.BodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	return io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
}

func (r *Receiver) refuseBody(w http.ResponseWriter, err error) {
	var over *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		r.count(unknownSource, limited)
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error()+"; try again later", http.StatusServiceUnavailable)
	case errors.As(err, &over):
		r.count(unknownSource, tooLarge)
		http.Error(w, fmt.Sprintf("a webhook has at most %d bytes", maxBody), http.StatusRequestEntityTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.count(unknownSource, malformed)
		http.Error(w, "the body did not come in time", http.StatusRequestTimeout)
	default:
		r.count(unknownSource, malformed)
		http.Error(w, "the body broke off", http.StatusBadRequest)
	}
}

// authenticate finds the scope for which the request is authentic. A token in
// the path, and the secret of the installation, are of the scope "".
func (r *Receiver) authenticate(req *http.Request, path string, body []byte) (string, bool) {
	// A scope's own secret is not looked for in the path: there is its name.
	if authentic(req, "", body, r.options.Secrets(path)) {
		return path, true
	}
	return "", authentic(req, path, body, r.options.Secrets(""))
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request, scope string, body []byte) {
	from, hints, err := parse(req.Header, body)
	if err != nil {
		r.count(from, malformed)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	outcome := accepted
	if len(hints) == 0 {
		outcome = ignored
	}
	r.count(from, outcome)
	for _, hint := range hints {
		r.options.Wake(scope, hint)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	// A sender that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]any{"source": from, "hints": len(hints)})
}

func (r *Receiver) count(from, outcome string) { r.total.WithLabelValues(from, outcome).Inc() }

// limiter is the one of the client's address. Those least recently seen are
// forgotten, which bounds the memory that strangers can take.
func (r *Receiver) limiter(req *http.Request) *rate.Limiter {
	address, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		address = req.RemoteAddr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if value, ok := r.limiters.Get(address); ok {
		if limiter, ok := value.(*rate.Limiter); ok {
			return limiter
		}
	}
	limiter := rate.NewLimiter(rate.Limit(r.options.Rate), r.options.Burst)
	r.limiters.Add(address, limiter)
	return limiter
}
