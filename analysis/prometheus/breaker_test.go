package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/api"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
)

// behaviour is what a server does with a question.
type behaviour func(*http.Request) (*http.Response, error)

func says(status int, body string) behaviour {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func failsWith(err error) behaviour {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

var (
	answersSeven behaviour = says(http.StatusOK, `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`)
	hangs        behaviour = func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
)

// remote is a server at the other end of a client's connections.
type remote struct {
	mu    sync.Mutex
	does  behaviour
	asked int
}

func (r *remote) do(b behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.does = b
}

// questions gives how many came since the last call.
func (r *remote) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.asked
	r.asked = 0
	return n
}

// RoundTrip implements http.RoundTripper.
func (r *remote) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.asked++
	does := r.does
	r.mu.Unlock()
	return does(request)
}

// connect gives a pool's client whose connections lead to a remote.
func connect(t *testing.T, pool *Pool, o Options, to *remote) *Client {
	t.Helper()
	c, err := pool.Get(o)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := api.NewClient(api.Config{Address: o.URL, Client: &http.Client{Transport: to}})
	if err != nil {
		t.Fatal(err)
	}
	c.server = inner
	return c
}

// lookLimit is what a look of the controller waits for all it asks.
const lookLimit = 4 * time.Second

// look asks one question, and another one each time.
func look(ctx context.Context, c *Client, query string) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	n, err := c.Value(ctx, analysis.ValueQuery{Expression: query, At: time.Now()})
	if err == nil && n != 7 {
		return fmt.Errorf("got %v, want 7", n)
	}
	return err
}

// outage gives the message of what must be an outage.
func outage(t *testing.T, err error) string {
	t.Helper()
	var absence *analysis.Absence
	if !errors.As(err, &absence) || absence.Kind != analysis.Outage {
		t.Fatalf("got %v, want an outage", err)
	}
	return absence.Message
}

// takeAway asks a source that does not answer until its questions are withheld.
func takeAway(t *testing.T, c *Client) {
	t.Helper()
	for range 20 {
		if strings.Contains(outage(t, look(t.Context(), c, "x")), "away since") {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatal("a source that does not answer is asked on and on")
}

// TestHangingSource states what a source that takes questions and never answers
// costs those who look at it, and how soon they see it come back.
func TestHangingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &remote{does: hangs}
		var pool Pool
		c := connect(t, &pool, Options{URL: "http://hanging:9090"}, server)
		takeAway(t, c)
		server.questions()

		began, waited := time.Now(), time.Duration(0)
		for time.Since(began) < time.Minute {
			asked := time.Now()
			message := outage(t, look(t.Context(), c, "x"))
			waited += time.Since(asked)
			if !strings.Contains(message, "prometheus http://hanging:9090: away since ") || !strings.Contains(message, "; asked again in ") || !strings.Contains(message, "context deadline exceeded") {
				t.Fatalf("the message is %q", message)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if waited > 6*time.Second {
			t.Errorf("a minute of looks waited %s for the source, want at most 6 s", waited)
		}
		if n := server.questions(); n < 15 || n > 25 {
			t.Errorf("it was asked %d times in a minute, want about one time in %s", n, pause)
		}

		server.do(answersSeven)
		back := time.Now()
		for look(t.Context(), c, "x") != nil {
			if time.Since(back) > 2*pause {
				t.Fatalf("%s after it came back it is still away", time.Since(back))
			}
			time.Sleep(100 * time.Millisecond)
		}
		server.questions()
		for range 10 {
			time.Sleep(time.Millisecond) // what was asked of this instant is remembered
			if err := look(t.Context(), c, "x"); err != nil {
				t.Fatalf("after it came back: %v", err)
			}
		}
		if n := server.questions(); n != 10 {
			t.Errorf("10 questions reached it %d times", n)
		}
		time.Sleep(time.Minute) // the questions that hung end, and change nothing
		if err := look(t.Context(), c, "x"); err != nil {
			t.Error(err)
		}
	})
}

// TestProbeIsANewRequest states that the question to a source that is away is sent
// also where the same one hangs since before, and that the askers beside it share
// what came before it was found away.
func TestProbeIsANewRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &remote{does: hangs}
		var pool Pool
		c := connect(t, &pool, Options{URL: "http://hanging:9090"}, server)
		at := time.Now()
		same := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), lookLimit)
			defer cancel()
			_, err := c.Value(ctx, analysis.ValueQuery{Expression: "same", At: at})
			return err
		}
		var askers sync.WaitGroup
		for range 5 {
			askers.Go(func() { outage(t, same()) })
		}
		askers.Wait()
		if n := server.questions(); n != 1 {
			t.Errorf("5 identical questions at once made %d requests, want 1", n)
		}
		for !c.breaker.away() {
			outage(t, same())
		}
		time.Sleep(pause)
		outage(t, same()) // hangs on
		server.questions()
		server.do(answersSeven)
		time.Sleep(pause)
		if err := same(); err != nil {
			t.Errorf("the source is back, and the question that hangs is waited for: %v", err)
		}
		if n := server.questions(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		time.Sleep(time.Minute)
	})
}

// TestWhatIsNoOutage states which answers never keep questions from a source.
func TestWhatIsNoOutage(t *testing.T) {
	for name, does := range map[string]behaviour{
		"bad query":     says(http.StatusBadRequest, `{"status":"error","errorType":"bad_data","error":"parse error"}`),
		"wrong at last": says(http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}`),
		"no data":       says(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[]}}`),
		"partial":       says(http.StatusOK, `{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[]}}`),
		"too large":     failsWith(tooLong(maxAnswer)),
		"slow": func(r *http.Request) (*http.Response, error) {
			time.Sleep(lookLimit + time.Second) // longer than the asker waits, who gives up
			return answersSeven(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &remote{does: does}
				var pool Pool
				c := connect(t, &pool, Options{URL: "http://prometheus:9090"}, server)
				for range 10 {
					if err := look(t.Context(), c, "x"); err == nil || strings.Contains(err.Error(), "away since") {
						t.Fatalf("got %v, want what the server says", err)
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Minute)
				server.do(answersSeven)
				if err := look(t.Context(), c, "x"); err != nil {
					t.Error(err)
				}
				if n := server.questions(); n != 11 {
					t.Errorf("11 questions reached the server %d times", n)
				}
			})
		})
	}
}

// TestSpentBudgetIsNoOutage states that a source is not away because it is asked
// more than its budget allows.
func TestSpentBudgetIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &remote{does: answersSeven}
		var pool Pool
		c := connect(t, &pool, Options{URL: "http://prometheus:9090", QueriesPerSecond: 0.05}, server)
		if err := look(t.Context(), c, "first"); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if message := outage(t, look(t.Context(), c, fmt.Sprint("more", i))); !strings.Contains(message, "budget") {
				t.Errorf("got %q, want a word on the budget", message)
			}
		}
		if c.breaker.away() {
			t.Error("the source is taken for away")
		}
		time.Sleep(time.Minute)
	})
}

// TestSourcesStandAlone states that what one source, or what one user asks of it,
// is no matter of others; and what is shown of it.
func TestSourcesStandAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, healthy := &remote{does: hangs}, &remote{does: answersSeven}
		var pool Pool
		of := func(host, token string) Options {
			return Options{URL: "http://user:hunter22@" + host + "/p?key=abcdefgh", Token: token}
		}
		first := connect(t, &pool, of("dead", "token-one"), dead)
		takeAway(t, first)
		if message := outage(t, look(t.Context(), first, "x")); strings.Contains(message, "hunter22") || strings.Contains(message, "abcdefgh") {
			t.Errorf("the message holds a secret: %s", message)
		}
		other := connect(t, &pool, of("healthy", "token-one"), healthy)
		if err := look(t.Context(), other, "x"); err != nil {
			t.Errorf("another source: %v", err)
		}
		again := connect(t, &pool, of("dead", "token-two"), healthy)
		if err := look(t.Context(), again, "x"); err != nil {
			t.Errorf("the same address with other credentials: %v", err)
		}
		if got, want := fmt.Sprint(pool.Away()), "map[http://dead/p:true http://healthy/p:false]"; got != want {
			t.Errorf("shown are %s, want %s", got, want)
		}
		time.Sleep(time.Minute)
	})
}

// TestHeavyQuestions states that questions which a server never answers keep no
// others from it while it answers these.
func TestHeavyQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &remote{does: func(r *http.Request) (*http.Response, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			if r.Form.Get("query") == "heavy" {
				return hangs(r)
			}
			return answersSeven(r)
		}}
		var pool Pool
		c := connect(t, &pool, Options{URL: "http://prometheus:9090"}, server)
		var heavy sync.WaitGroup
		for range 8 {
			heavy.Go(func() {
				for range 10 {
					_ = look(t.Context(), c, "heavy") // it is never answered
					time.Sleep(time.Second)
				}
			})
		}
		for range 10 {
			if err := look(t.Context(), c, "light"); err != nil {
				t.Errorf("after %v", err)
			}
			time.Sleep(5 * time.Second)
		}
		heavy.Wait()
		time.Sleep(time.Minute)
	})
}

// TestAwayFreezes states that a trial whose source is away freezes, asks a person
// after its limit and goes on when the source is back, and never passes or fails.
func TestAwayFreezes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &remote{does: failsWith(errors.New("connection refused"))}
		var pool Pool
		c := connect(t, &pool, Options{URL: "http://prometheus:9090"}, server)
		most := 10.0
		spec := analysis.Spec{SourceLimit: 10 * time.Minute, Checks: []analysis.Check{{
			Name: "queue", Kind: analysis.KindThreshold, Interval: 10 * time.Second, Threshold: &analysis.Threshold{Query: "scalar(x)", Max: &most}}}}
		state := analysis.NewState(time.Now())
		turn := func() analysis.Verdict {
			time.Sleep(2 * time.Second)
			now := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), lookLimit)
			defer cancel()
			due := observe.Observer{Source: c}.Due(ctx, spec.Checks[0], observe.Trial{}, state, now)
			var v analysis.Verdict
			state, v = analysis.Judge(spec, state, due, now)
			return v
		}
		var v analysis.Verdict
		began := time.Now()
		for time.Since(began) < 10*time.Minute+30*time.Second {
			v = turn()
			if v.Outcome != analysis.Inconclusive || time.Since(began) > 20*time.Second && !v.Freeze {
				t.Fatalf("after %s: %s, freeze %t: %s", time.Since(began), v.Outcome, v.Freeze, v.Message)
			}
		}
		if !v.NeedsPerson || !strings.Contains(v.Message, "away since") {
			t.Errorf("after its limit no person is asked: %s", v.Message)
		}
		server.do(answersSeven)
		back := time.Now()
		for v.Outcome != analysis.Pass {
			if v = turn(); time.Since(back) > 20*time.Second {
				t.Fatalf("the source is back: %s: %s", v.Outcome, v.Message)
			}
		}
	})
}
