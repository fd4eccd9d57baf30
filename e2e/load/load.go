// Package load sends a bounded load of GET requests to a private address and
// counts who answered each of them how.
//
// Each request opens a connection of its own, so that a Service balances
// every one of them, and is sent once: a request sent again would hide the
// failure that is to be counted.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// The most that may be asked for.
const (
	MaxRate     = 1000
	MaxDuration = 2 * time.Hour
	MaxCount    = 5_000_000
)

// concurrency is how many requests may run at a time; at the default time-out
// it keeps 50 requests a second going even when every second one hangs.
const concurrency = 128

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// Options say what to send.
type Options struct {
	// URL is requested, by http, at a loopback, private or link-local address.
	URL string
	// Rate is in requests per second, evenly spaced.
	Rate float64
	// Duration and Count bound the load; it ends at whichever comes first.
	// One of them must be set.
	Duration time.Duration
	Count    int
	// Timeout is how long one request may take; zero means 5 seconds.
	Timeout time.Duration
}

// check completes o or says what is wrong with it.
func (o *Options) check() error {
	target, err := url.Parse(o.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	switch {
	case target.Scheme != "http" || target.Host == "":
		return fmt.Errorf("url %q: give one like http://10.0.0.7/work", o.URL)
	case o.Rate <= 0 || o.Rate > MaxRate:
		return fmt.Errorf("rate %v: give one above 0 and at most %d requests per second", o.Rate, MaxRate)
	case o.Duration <= 0 && o.Count <= 0:
		return errors.New("the load has no bound: give a duration or a count")
	case o.Duration < 0 || o.Duration > MaxDuration:
		return fmt.Errorf("duration %s: give at most %s", o.Duration, MaxDuration)
	case o.Count < 0 || o.Count > MaxCount:
		return fmt.Errorf("count %d: give at most %d", o.Count, MaxCount)
	case o.Timeout < 0:
		return fmt.Errorf("timeout %s: give one above 0", o.Timeout)
	}
	return nil
}

// Generator sends one load.
type Generator struct {
	options Options
	client  *http.Client
	mu      sync.Mutex
	stats   Stats
}

// New makes a Generator, or says what is wrong with options.
func New(options Options) (*Generator, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{ControlContext: onlyPrivate}
	return &Generator{
		options: options,
		stats:   Stats{Target: options.URL},
		// A plain client, where the rest of the project retries: see the package comment.
		client: &http.Client{
			Timeout:   options.Timeout,
			Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}, nil
}

// onlyPrivate refuses to connect to the world at large, whatever a name
// resolves to.
func onlyPrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if ip := target.Addr().Unmap(); !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() {
		return fmt.Errorf("refuse to load %s: it is not a private address", ip)
	}
	return nil
}

// Run sends the load and returns when its bound is reached, or ctx has ended,
// and every request sent has ended.
func (g *Generator) Run(ctx context.Context) {
	g.mu.Lock()
	g.stats.Started = time.Now()
	g.mu.Unlock()
	sending, cancel := ctx, context.CancelFunc(func() {})
	if g.options.Duration > 0 {
		sending, cancel = context.WithTimeout(ctx, g.options.Duration)
	}
	defer cancel()

	limiter := rate.NewLimiter(rate.Limit(g.options.Rate), 1)
	slots := make(chan struct{}, concurrency)
	var running sync.WaitGroup
	for sent := 0; g.options.Count == 0 || sent < g.options.Count; sent++ {
		if limiter.Wait(sending) != nil || !take(sending, slots) {
			break // the bound is reached
		}
		running.Go(func() {
			defer func() { <-slots }()
			// The end of the load does not break the requests that are under way.
			g.count(g.request(context.WithoutCancel(ctx)))
		})
	}
	running.Wait()
	g.mu.Lock()
	g.stats.Done = true
	g.mu.Unlock()
}

func take(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// request sends one request and tells how it ended.
func (g *Generator) request(ctx context.Context) result {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.options.URL, nil)
	if err != nil {
		return result{outcome: "broken", failed: true, at: time.Now()}
	}
	response, err := g.client.Do(request)
	if err != nil {
		return result{outcome: reason(err), failed: true, at: time.Now()}
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody))
	ended := result{
		version: response.Header.Get("X-Version"), pod: response.Header.Get("X-Served-By"),
		outcome: strconv.Itoa(response.StatusCode), failed: response.StatusCode >= http.StatusInternalServerError,
	}
	if err := errors.Join(err, response.Body.Close()); err != nil {
		ended.outcome, ended.failed = reason(err), true
	}
	ended.at = time.Now()
	return ended
}

// reason tells apart why a request had no whole answer.
func reason(err error) string {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return "connect"
	}
	if os.IsTimeout(err) {
		return "timeout"
	}
	return "broken"
}

func (g *Generator) count(r result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.add(r)
}

// Stats are the counts so far.
func (g *Generator) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.stats.clone()
	now.Updated = time.Now()
	return now
}
