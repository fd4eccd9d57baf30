// Package traffictest is the conformance suite of traffic.Router for routers
// that write weights into a route: what each has to do, on a real API server,
// and with real requests where a gateway serves the route.
package traffictest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/traffic"
)

// patience with the route's way through an API server and a gateway on a loaded
// machine.
const patience = 2 * time.Minute

// Fixture is one route at rest, with Services for stable and canary.
type Fixture struct {
	Router traffic.Router
	Target traffic.Target
	// Bare is a Target like it, but for its Stable and Canary, which are not
	// there.
	Bare traffic.Target
	// Spec reads what the user wrote in the route, to compare with go-cmp.
	Spec func(t *testing.T) any
	// Version tells each two writes of the route's spec apart.
	Version func(t *testing.T) string
	// Reset is another writer, named Writer, who writes the route as the user
	// has it in Git.
	Reset  func(t *testing.T)
	Writer string
	// Disturb makes one write to the route's object that has nothing to do with
	// its spec, as the gateway's controller does.
	Disturb func(ctx context.Context) error
	// Settle lets the data plane accept the route as it is; nil where a gateway
	// does so by itself.
	Settle func(t *testing.T)
	// Send sends requests through the gateway and says how many of them each arm
	// answered, by "stable" and "canary"; a request that failed ends the test.
	// Only RunTraffic needs it.
	Send func(t *testing.T, requests int) map[string]int
	// Load sends requests until it is stopped, and then says how many there were
	// and how many failed. Only RunTraffic needs it.
	Load func(t *testing.T) (stop func() (requests, failed int64))
}

// Run tries the Router that fixture gives; each test gets a new one.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	tests := []trial{
		{"at rest it is released", testRest},
		{"weights that are set are seen", testWeights},
		{"setting again writes nothing", testAgain},
		{"what the data plane accepts is reached", testReached},
		{"release gives back what the user wrote", testRelease},
		{"another writer is seen, named and corrected", testForeign},
		{"a busy route is written all the same", testBusy},
		{"a route that is not there is not found", testNoRoute},
		{"Services that are not there are not named", testNoServices},
	}
	each(t, tests, fixture)
}

// RunTraffic tries with real requests what the Router of a fixture with Send and
// Load does.
func RunTraffic(t *testing.T, fixture func(t *testing.T) Fixture) {
	each(t, []trial{
		{"requests follow the weights", testShares},
		{"no request fails while weights move", testMoving},
	}, fixture)
}

// trial is one test of a suite.
type trial struct {
	name string
	run  func(t *testing.T, f Fixture)
}

func each(t *testing.T, tests []trial, fixture func(t *testing.T) Fixture) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := fixture(t)
			test.run(t, f)
		})
	}
}

func observe(t *testing.T, f Fixture, want environments.Weight) traffic.State {
	t.Helper()
	state, err := f.Router.Observe(t.Context(), f.Target, want)
	if err != nil {
		t.Fatalf("Observe: %v", err)
	}
	return state
}

// again calls until no other writer was first, as a controller does.
func again(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := call(ctx)
		if !errors.Is(err, traffic.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

func set(t *testing.T, f Fixture, weight environments.Weight) {
	t.Helper()
	if err := again(t.Context(), func(ctx context.Context) error { return f.Router.Set(ctx, f.Target, weight) }); err != nil {
		t.Fatalf("Set %s: %v", weight, err)
	}
}

func release(t *testing.T, f Fixture) {
	t.Helper()
	if err := again(t.Context(), func(ctx context.Context) error { return f.Router.Release(ctx, f.Target) }); err != nil {
		t.Fatalf("Release: %v", err)
	}
}

// settle waits until the data plane has accepted the route.
func settle(t *testing.T, f Fixture, want environments.Weight) {
	t.Helper()
	if f.Settle != nil {
		f.Settle(t)
	}
	eventually(t, func() (bool, string) {
		state := observe(t, f, want)
		return state.Reached, state.Message
	})
}

// eventually waits until a condition holds; it says what is missing if not.
func eventually(t *testing.T, condition func() (bool, string)) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, missing := condition()
		if ok {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited %s: %s", patience, missing)
		case <-t.Context().Done():
			t.Fatalf("%v: %s", t.Context().Err(), missing)
		case <-ticker.C:
		}
	}
}

// essence is what of a State is the same for every data plane.
func essence(s traffic.State) traffic.State {
	return traffic.State{Weight: s.Weight, Released: s.Released, Foreign: s.Foreign}
}

func expect(t *testing.T, what string, got, want traffic.State) {
	t.Helper()
	if diff := cmp.Diff(want, essence(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s\n%s", what, diff, got.Message)
	}
}

func testRest(t *testing.T, f Fixture) {
	expect(t, "at rest", observe(t, f, 0), traffic.State{Released: true})
	before := f.Version(t)
	release(t, f)
	if after := f.Version(t); after != before {
		t.Errorf("releasing what is released wrote the route: %s, then %s", before, after)
	}
}

func testWeights(t *testing.T, f Fixture) {
	for _, weight := range []environments.Weight{0, 5, 25, 50, 100, 50, 1, 99, 0} {
		set(t, f, weight)
		expect(t, "after Set "+weight.String(), observe(t, f, weight), traffic.State{Weight: weight})
	}
}

func testAgain(t *testing.T, f Fixture) {
	for _, weight := range []environments.Weight{0, 33} {
		set(t, f, weight)
		before := f.Version(t)
		set(t, f, weight)
		if after := f.Version(t); after != before {
			t.Errorf("setting %s again wrote the route: %s, then %s", weight, before, after)
		}
	}
}

func testReached(t *testing.T, f Fixture) {
	settle(t, f, 0)
	set(t, f, 25)
	if f.Settle != nil {
		state := observe(t, f, 25)
		if state.Reached || state.Message == "" {
			t.Errorf("nobody has accepted the weight, and it shows as %+v", state)
		}
	}
	settle(t, f, 25)
	release(t, f)
	settle(t, f, 0)
	expect(t, "released", observe(t, f, 0), traffic.State{Released: true})
}

func testRelease(t *testing.T, f Fixture) {
	before := f.Spec(t)
	for _, weight := range []environments.Weight{5, 50, 100} {
		set(t, f, weight)
	}
	release(t, f)
	if diff := cmp.Diff(before, f.Spec(t)); diff != "" {
		t.Errorf("the route is not as the user wrote it (-want +got):\n%s", diff)
	}
	expect(t, "released", observe(t, f, 0), traffic.State{Released: true})
}

func testForeign(t *testing.T, f Fixture) {
	set(t, f, 25)
	f.Reset(t)
	state := observe(t, f, 25)
	expect(t, "after the reset", state, traffic.State{Released: true, Foreign: true})
	if !strings.Contains(state.Message, f.Writer) {
		t.Errorf("the message does not name %s, who reset the route: %s", f.Writer, state.Message)
	}
	set(t, f, 25)
	expect(t, "set again", observe(t, f, 25), traffic.State{Weight: 25})
	expect(t, "another weight than was set", observe(t, f, 50), traffic.State{Weight: 25, Foreign: true})
}

func testBusy(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			if err := f.Disturb(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-ticker.C:
			}
		}
	}()
	for weight := environments.Weight(0); weight <= 100; weight += 10 {
		set(t, f, weight)
		expect(t, "after Set "+weight.String(), observe(t, f, weight), traffic.State{Weight: weight})
	}
	release(t, f)
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("Disturb: %v", err)
	}
	expect(t, "released", observe(t, f, 0), traffic.State{Released: true})
}

func testNoRoute(t *testing.T, f Fixture) {
	missing := f.Target
	missing.Route = "there-is-none"
	stranger := f.Target
	stranger.Service, stranger.Stable, stranger.Canary = "nobody", "nobody-stable", "nobody-canary"
	for _, target := range []traffic.Target{missing, stranger} {
		if _, err := f.Router.Observe(t.Context(), target, 0); !errors.Is(err, traffic.ErrNotFound) {
			t.Errorf("Observe %s of %s: %v, want ErrNotFound", target.Service, target.Route, err)
		}
		for _, weight := range []environments.Weight{0, 5} {
			if err := f.Router.Set(t.Context(), target, weight); !errors.Is(err, traffic.ErrNotFound) {
				t.Errorf("Set %s, %s of %s: %v, want ErrNotFound", weight, target.Service, target.Route, err)
			}
		}
		if err := f.Router.Release(t.Context(), target); err != nil {
			t.Errorf("Release of nothing: %v", err)
		}
	}
}

func testNoServices(t *testing.T, f Fixture) {
	before := f.Version(t)
	if err := f.Router.Set(t.Context(), f.Bare, 5); !errors.Is(err, traffic.ErrNotFound) || !strings.Contains(err.Error(), f.Bare.Stable) {
		t.Errorf("Set: %v, want ErrNotFound with the name %s", err, f.Bare.Stable)
	}
	if err := f.Router.Set(t.Context(), f.Bare, 0); err != nil {
		t.Errorf("Set 0: %v", err)
	}
	if after := f.Version(t); after != before {
		t.Errorf("the route was written: %s, then %s", before, after)
	}
}
