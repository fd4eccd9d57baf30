//go:build integration

package rollout_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// What the gate and Serin share.
const (
	gateSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	gateToken  = "bearer-4711"
)

// question is what docs/gates.md promises to a gate, as far as these tests look.
type question struct {
	Type string `json:"type"`
	Data struct {
		Check, Namespace, Rollout, Workload string
		Trial                               int64
		Step, Weight                        int32
		Serving                             bool
		Stable, Canary                      struct{ Images []string }
		Args                                map[string]string
	} `json:"data"`
}

// gate is a real gate inside the sandbox, which believes what is signed only.
type gate struct {
	t      *testing.T
	signed *standardwebhooks.Webhook

	mu sync.Mutex
	// answer to a question: a verdict and a message.
	answer func(question) (verdict, message string)
	asked  []question
	ids    map[string]bool
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		g.t.Errorf("the question is %s: %v", body, err)
	}
	if err := g.signed.Verify(body, r.Header); err != nil || r.Header.Get("Authorization") != "Bearer "+gateToken {
		g.t.Errorf("the question is not signed, or lacks the token: %v, %v", err, r.Header)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// A request that is repeated within a look has the id of the first one.
	if id := r.Header.Get(standardwebhooks.HeaderWebhookID); !g.ids[id] {
		g.ids[id] = true
		g.asked = append(g.asked, q)
	}
	verdict, message := g.answer(q)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"verdict": verdict, "message": message})
}

// says changes the answer.
func (g *gate) says(answer func(question) (verdict, message string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

// questions that were asked so far of a step, with traffic or without.
func (g *gate) questions(step int32, serving bool) []question {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []question
	for _, q := range g.asked {
		if q.Data.Step == step && q.Data.Serving == serving {
			found = append(found, q)
		}
	}
	return found
}

// gated serves a gate and makes a Rollout of two steps that asks it, with Serin in
// a process of its own.
func (e *env) gated(answer func(question) (verdict, message string)) *gate {
	e.t.Helper()
	signed, err := standardwebhooks.NewWebhook(gateSecret)
	if err != nil {
		e.t.Fatal(err)
	}
	g := &gate{t: e.t, signed: signed, answer: answer, ids: map[string]bool{}}
	listener, err := e.cluster().Listen(e.cluster().Addresses.Node + ":0")
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: patience}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	e.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "gate"},
		StringData: map[string]string{"secret": gateSecret, "token": gateToken},
	}
	if err := e.client.Create(e.t.Context(), secret); err != nil {
		e.t.Fatal(err)
	}
	e.deploy(2)
	e.run()
	e.adopt(func(spec *v1alpha1.RolloutSpec) {
		spec.Analysis.Checks = []v1alpha1.Check{{Name: "load", Interval: metav1.Duration{Duration: time.Second}, Webhook: &v1alpha1.WebhookCheck{
			URL: "http://" + listener.Addr().String() + "/canary", SecretRef: &v1alpha1.LocalReference{Name: "gate"}, Args: map[string]string{"profile": "peak"},
		}}}
	})
	return g
}

// TestIntegrationGateHoldsAndPasses has a gate that takes its time with the first
// step: the step waits far beyond its duration, and goes on once it is answered.
func TestIntegrationGateHoldsAndPasses(t *testing.T) {
	e := setup(t)
	g := e.gated(func(q question) (string, string) {
		if q.Data.Serving {
			return "Inconclusive", "the load test runs"
		}
		return "Pass", ""
	})
	before := e.rollout().Status.Stable.TemplateHash
	e.trial("2")
	duration := e.rollout().Spec.Steps[0].Duration.Duration
	e.until("the step's clock is far beyond its duration", func() (bool, string) {
		ro := e.rollout()
		if ro.Status.Step != 0 || ro.Status.Phase != v1alpha1.RolloutProgressing {
			t.Fatalf("while the gate is pending it is %s in step %d: %s", ro.Status.Phase, ro.Status.Step, ro.Status.Message)
		}
		return ro.Status.Clock.Duration > 3*duration && strings.Contains(ro.Status.Message, "the load test runs"), ro.Status.Message
	})
	asked := g.questions(0, true)
	if len(asked) < 3 || len(g.questions(0, false)) == 0 || len(g.questions(1, true)) > 0 {
		t.Errorf("%d questions with traffic and %d without in step 1, %d in step 2", len(asked), len(g.questions(0, false)), len(g.questions(1, true)))
	}
	g.says(func(question) (string, string) { return "Pass", "p99 is 80 ms" })
	e.passed(before)
	e.atRest()
	var want question
	want.Type = "serin.gate"
	want.Data.Check, want.Data.Namespace, want.Data.Rollout, want.Data.Workload = "load", e.namespace, "app", "app"
	want.Data.Trial, want.Data.Step, want.Data.Weight, want.Data.Serving = 1, 1, 50, true
	want.Data.Stable.Images, want.Data.Canary.Images = []string{e.image}, []string{e.image}
	want.Data.Args = map[string]string{"profile": "peak"}
	if all := g.questions(1, true); !slices.ContainsFunc(all, func(q question) bool { return cmp.Equal(want, q) }) {
		t.Errorf("of the second step it was asked %+v, want %+v among them", all, want)
	}
}

// TestIntegrationGateFails has a gate that refuses a canary with traffic.
func TestIntegrationGateFails(t *testing.T) {
	e := setup(t)
	g := e.gated(func(q question) (string, string) {
		if q.Data.Serving {
			return "Fail", "p99 is 900 ms, 300 are allowed"
		}
		return "Pass", ""
	})
	stable := e.pods(false)
	e.revise(corev1.EnvVar{Name: "REVISION", Value: "2"})
	ro := e.phase(v1alpha1.RolloutRolledBack)
	if !strings.Contains(ro.Status.Failure, "check load") || !strings.Contains(ro.Status.Failure, "p99 is 900 ms, 300 are allowed (status 200)") {
		t.Errorf("it failed because %q", ro.Status.Failure)
	}
	if ro.Status.Weight != 0 || len(e.pods(true)) > 0 {
		t.Errorf("it is at %d%% with the canary pods %v", ro.Status.Weight, e.pods(true))
	}
	if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
		t.Errorf("stable's pods changed (-before +after):\n%s", diff)
	}
	if len(g.questions(1, true)) > 0 {
		t.Error("it came to the second step")
	}
	for _, text := range []string{e.told("RolledBack"), fmt.Sprintf("%+v", ro.Status)} {
		if strings.Contains(text, gateToken) || strings.Contains(text, strings.TrimPrefix(gateSecret, "whsec_")) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}
