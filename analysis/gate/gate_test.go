package gate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/gate"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	token  = "token-of-the-gate"
)

var question = gate.Question{
	Check: "load", Namespace: "prod", Rollout: "shop", Workload: "shop", Trial: 7, Step: 1, Weight: 20, Serving: true,
	Stable: gate.Revision{Images: []string{"shop:1"}, Hash: "aa"},
	Canary: gate.Revision{Images: []string{"shop:2"}, Hash: "bb", PodTemplateHash: "5c8f"},
	Args:   map[string]string{"profile": "peak"},
}

func check(url string) analysis.Check {
	return analysis.Check{Name: "load", Kind: analysis.KindWebhook, Webhook: &analysis.Webhook{URL: url, Timeout: time.Minute}}
}

// receiver is a gate that answers with what it is told, one after the other,
// the last for ever, and remembers what it was asked.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	bodies  [][]byte
	headers []http.Header
}

func serve(t *testing.T, answers ...http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		answer := r.answers[min(len(r.bodies), len(r.answers)-1)]
		r.bodies, r.headers = append(r.bodies, body), append(r.headers, request.Header)
		r.mu.Unlock()
		answer(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswers(t *testing.T) {
	const js = "application/json"
	pass := func(message string) *analysis.Answer {
		return &analysis.Answer{Pass: true, Status: 200, Message: message}
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   *analysis.Answer
		kind   analysis.AbsenceKind
		text   string
	}{
		{name: "pass", answer: answer(200, js, `{"verdict":"Pass","message":"p99 is 80 ms"}`), want: pass("p99 is 80 ms (status 200)")},
		{name: "fail", answer: answer(200, js, `{"verdict":"Fail","message":"p99 is 8 s"}`), want: &analysis.Answer{Status: 200, Message: "p99 is 8 s (status 200)"}},
		{name: "inconclusive", answer: answer(200, js, `{"verdict":"Inconclusive","message":"half done"}`), kind: analysis.Pending, text: "half done"},
		{name: "plain", answer: answer(200, "", ""), want: pass("OK (status 200)")},
		{name: "text", answer: answer(200, "text/plain", "well done"), want: pass("OK (status 200)")},
		{name: "accepted", answer: answer(202, "", "\n"), kind: analysis.Pending, text: "Accepted (status 202)"},
		{name: "accepted with a verdict", answer: answer(202, js, `{"verdict":"Pass"}`), want: &analysis.Answer{Pass: true, Status: 202, Message: "Accepted (status 202)"}},
		{name: "refused", answer: answer(403, js, `{"message":"the calendar is frozen"}`), want: &analysis.Answer{Status: 403, Message: "the calendar is frozen (status 403)"}},
		{name: "not there", answer: answer(404, "text/html", "<h1>no</h1>"), want: &analysis.Answer{Status: 404, Message: "Not Found (status 404)"}},
		{name: "busy", answer: answer(429, "", ""), kind: analysis.Outage, text: "status 429"},
		{name: "too slow for itself", answer: answer(408, "", ""), kind: analysis.Outage, text: "status 408"},
		{name: "broken", answer: answer(500, js, `{"verdict":"Fail"}`), kind: analysis.Outage, text: "status 500"},
		{name: "cut off", answer: answer(200, js, `{"verdict":"Fa`), kind: analysis.Outage, text: "not JSON"},
		{name: "another word", answer: answer(200, js, `{"verdict":"ok"}`), kind: analysis.Outage, text: `verdict is "ok"; it must be Pass, Fail or Inconclusive`},
		{name: "too large", answer: answer(200, "text/plain", strings.Repeat("x", 100<<10)), kind: analysis.Outage, text: "64 KiB"},
		{name: "elsewhere", answer: http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP, kind: analysis.Outage, text: "it redirects, which is not followed"},
		{name: "control characters", answer: answer(200, js, `{"verdict":"Fail","message":"a\u001b[31m\n\u202eb `+strings.Repeat("é", 300)+`"}`),
			want: &analysis.Answer{Status: 200, Message: "a [31m b " + strings.Repeat("é", 95) + "... (status 200)"}},
		{name: "what is secret sent back", answer: answer(403, js, `{"message":"`+strings.Repeat("x", 190)+token+secret+`"}`),
			want: &analysis.Answer{Status: 403, Message: strings.Repeat("x", 190) + "****** (status 403)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gates := serve(t, tc.answer)
			o := gate.New().Ask(t.Context(), check(gates.URL), question, gate.Credentials{Secret: secret, Token: token}, time.Now())
			if diff := cmp.Diff(tc.want, o.Answer); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if tc.want == nil && (o.Absence == nil || o.Absence.Kind != tc.kind || !strings.Contains(o.Absence.Message, tc.text)) {
				t.Errorf("absence %v, want %s with %q", o.Absence, tc.kind, tc.text)
			}
		})
	}
}

// TestSigned has the receivers' own library verify what is posted, and wants a
// repeated request to be known by its webhook-id.
func TestSigned(t *testing.T) {
	gates := serve(t, answer(503, "", ""), answer(200, "", ""))
	now := time.Now()
	client, enter := gate.New(), gate.Credentials{Secret: secret, Token: token}
	if o := client.Ask(t.Context(), check(gates.URL), question, enter, now); o.Answer == nil || !o.Answer.Pass {
		t.Fatalf("answered by %+v", o)
	}
	if o := client.Ask(t.Context(), check(gates.URL), question, enter, now.Add(time.Second)); o.Answer == nil {
		t.Fatalf("answered by %+v", o)
	}
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i, body := range gates.bodies {
		if err := hook.Verify(body, gates.headers[i]); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		if got := gates.headers[i].Get("Authorization"); got != "Bearer "+token {
			t.Errorf("request %d: Authorization %q", i, got)
		}
		ids = append(ids, gates.headers[i].Get(standardwebhooks.HeaderWebhookID))
	}
	if len(ids) != 3 || ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("a look that was repeated and another one have the ids %q", ids)
	}
	var got struct {
		Type      string
		Timestamp time.Time
		Data      gate.Question
	}
	if err := json.Unmarshal(gates.bodies[0], &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(question, got.Data); diff != "" || got.Type != gate.EventType || !got.Timestamp.Equal(now) {
		t.Errorf("type %s at %s, data (-want +got):\n%s", got.Type, got.Timestamp, diff)
	}
	other, err := standardwebhooks.NewWebhook("whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(gates.bodies[0], gates.headers[0]); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
		t.Errorf("another secret verifies it: %v", err)
	}
}

// TestUnsigned states what is sent without credentials.
func TestUnsigned(t *testing.T) {
	gates := serve(t, answer(200, "", ""))
	gate.New().Ask(t.Context(), check(gates.URL), question, gate.Credentials{}, time.Now())
	for _, name := range []string{"Authorization", standardwebhooks.HeaderWebhookSignature} {
		if got := gates.headers[0].Get(name); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAway(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	hanging := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, tc := range []struct{ name, url, want string }{
		{"nobody listens", "http://" + address + "/?key=hidden", "refused"},
		{"nobody answers", hanging.URL + "/?key=hidden", "no answer within 200ms"},
		{"no such host", "http://gate.invalid/?key=hidden", "gate.invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := check(tc.url)
			c.Webhook.Timeout = 200 * time.Millisecond
			if tc.name != "nobody answers" {
				c.Webhook.Timeout = time.Minute
			}
			o := gate.New().Ask(t.Context(), c, question, gate.Credentials{}, time.Now())
			if o.Absence == nil || o.Absence.Kind != analysis.Outage || !strings.Contains(o.Absence.Message, tc.want) || strings.Contains(o.Absence.Message, "hidden") {
				t.Errorf("got %+v, want an outage with %q and without the address", o.Absence, tc.want)
			}
		})
	}
}

func TestWrong(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"ftp://gate", "must begin with http"},
		{"https://user:hidden@gate/", "holds credentials"},
		{"https://gate/${where}", "placeholder"},
		{"http://[hidden", "cannot be parsed"},
	} {
		c := check(tc.url)
		err := gate.Check(c)
		var absence *analysis.Absence
		if !errors.As(err, &absence) || absence.Kind != analysis.BadQuery || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, want a BadQuery with %q", tc.url, err, tc.want)
		}
		if o := gate.New().Ask(t.Context(), c, question, gate.Credentials{}, time.Now()); o.Absence == nil || fmt.Sprint(o.Absence) != err.Error() {
			t.Errorf("%s: asked, it is %v", tc.url, o.Absence)
		}
	}
	o := gate.New().Ask(t.Context(), check("http://127.0.0.1:1"), question, gate.Credentials{Secret: "not base64!"}, time.Now())
	if o.Absence == nil || !strings.Contains(o.Absence.Message, "is not base64") || strings.Contains(o.Absence.Message, "not base64!") {
		t.Errorf("a wrong secret: %v", o.Absence)
	}
}
