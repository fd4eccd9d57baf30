package analysisrun

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/gate"
	recording "github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// gates asks real gates.
type gates struct{ client *gate.Client }

func (g gates) Ask(ctx context.Context, check analysis.Check, q Question, now time.Time) analysis.Observation {
	return g.client.Ask(ctx, check, gate.Question{Check: check.Name, Trial: q.Trial, Step: q.Step, Weight: q.Weight, Args: q.Args}, gate.Credentials{}, now)
}

// door is a gate that is asked, and says what it is told.
type door struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	asked  []gate.Question
	// held, where set, keeps answers back until it is closed.
	held chan struct{}
}

func openDoor(t *testing.T) *door {
	t.Helper()
	d := &door{status: http.StatusOK}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct{ Data gate.Question }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		d.asked = append(d.asked, event.Data)
		status, body, held := d.status, d.body, d.held
		d.mu.Unlock()
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) say(status int, body string, held chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.body, d.held = status, body, held
}

func (d *door) questions() []gate.Question {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]gate.Question(nil), d.asked...)
}

func gated(t *testing.T, d *door) (*Analyst, rollout.Trial) {
	analyst, trial := newTrial(t, "127.0.0.1", v1alpha1.Check{Name: "gate", Webhook: &v1alpha1.WebhookCheck{
		URL: d.URL, Timeout: metav1.Duration{Duration: time.Minute}, Args: map[string]string{"profile": "peak"}}})
	analyst.Gate = gates{gate.New()}
	return analyst, trial
}

// look looks once, some time later.
func look(t *testing.T, a *Analyst, trial *rollout.Trial, later time.Duration) analysis.Verdict {
	t.Helper()
	trial.Now = trial.Now.Add(later)
	verdict, err := a.Look(t.Context(), *trial)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// TestGate takes a trial past a gate: it is asked at each interval and at each
// step, waited for, and believed.
func TestGate(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	analyst, trial := gated(t, d)
	d.say(http.StatusAccepted, "", nil)
	if v := look(t, analyst, &trial, 0); v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonGatePending || v.Freeze {
		t.Errorf("not ready: %+v", v)
	}
	look(t, analyst, &trial, 2*time.Second)
	if n := len(d.questions()); n != 1 {
		t.Errorf("asked %d times within an interval", n)
	}
	d.say(http.StatusOK, `{"verdict":"Pass","message":"calm"}`, nil)
	if v := look(t, analyst, &trial, 10*time.Second); v.Outcome != analysis.Pass || !strings.Contains(v.Message, "all 2 checks pass") {
		t.Errorf("passed: %+v", v)
	}
	trial.Rollout.Status.Step, trial.Rollout.Status.Weight, trial.StepStarted = 1, 40, trial.Now
	look(t, analyst, &trial, time.Second)
	asked := d.questions()
	if last := asked[len(asked)-1]; len(asked) != 3 || last.Step != 1 || last.Weight != 40 || last.Trial != 1 || last.Args["profile"] != "peak" {
		t.Errorf("asked %+v", asked)
	}
	d.say(http.StatusInternalServerError, "", nil)
	if v := look(t, analyst, &trial, 10*time.Second); v.Outcome != analysis.Inconclusive || !v.Freeze {
		t.Errorf("away: %+v", v)
	}
	d.say(http.StatusOK, `{"verdict":"Fail","message":"errors at the till"}`, nil)
	v := look(t, analyst, &trial, 10*time.Second)
	if v.Outcome != analysis.Fail || v.Reason != analysis.ReasonGateFailed || !strings.Contains(v.Message, "errors at the till") {
		t.Errorf("failed: %+v", v)
	}
	var run v1alpha1.AnalysisRun
	if err := analyst.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: rollout.RunName("app", 1)}, &run); err != nil {
		t.Fatal(err)
	}
	again, err := recording.Rejudge(run.Status.Record)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := json.Marshal(again.State); err != nil || recording.Pack(string(state)) != run.Status.State || again.Verdict.Message != v.Message {
		t.Errorf("judged again it is %q (%v); it was %q", again.Verdict.Message, err, v.Message)
	}
}

// TestSlowGate states that a gate that takes its time holds up nothing but
// the step, that what it said of a step before does not pass the next one, and
// that its answer counts when it comes.
func TestSlowGate(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	analyst, trial := gated(t, d)
	if v := look(t, analyst, &trial, 0); v.Outcome != analysis.Pass {
		t.Fatalf("at first: %+v", v)
	}
	held := make(chan struct{})
	d.say(http.StatusOK, `{"verdict":"Fail","message":"too slow"}`, held)
	if v := look(t, analyst, &trial, 10*time.Second); v.Outcome != analysis.Pass {
		t.Errorf("asked again about the same step: %+v", v)
	}
	trial.Rollout.Status.Step, trial.StepStarted = 1, trial.Now
	v := look(t, analyst, &trial, time.Second)
	if v.Outcome != analysis.Inconclusive || v.Reason != analysis.ReasonGatePending {
		t.Errorf("asked about the next step: %+v", v)
	}
	crash := trial
	crash.Canary = []corev1.Pod{*trial.Canary[0].DeepCopy()}
	crash.Canary[0].Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", RestartCount: 1,
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}}}}
	if v := look(t, analyst, &crash, time.Second); v.Outcome != analysis.Fail || v.Reason != analysis.ReasonCrashed {
		t.Errorf("a crash meanwhile: %+v", v)
	}

	analyst, trial = gated(t, d)
	look(t, analyst, &trial, 0)
	close(held)
	for v = look(t, analyst, &trial, time.Second); v.Outcome != analysis.Fail; v = look(t, analyst, &trial, time.Second) {
		if len(d.questions()) > 20 {
			t.Fatalf("the answer that came is not taken: %+v", v)
		}
	}
	if !strings.Contains(v.Message, "too slow") {
		t.Errorf("it failed because %s", v.Message)
	}
}

// TestServiceIsAsked states when an http check asks the canary's Service.
func TestServiceIsAsked(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	check := v1alpha1.Check{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: int32(at.Port()), Path: "/"}, Service: true}}
	service := func(name, address string, port int32) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.ServiceSpec{ClusterIP: address, Ports: []corev1.ServicePort{{Port: port}}}}
	}
	for _, tc := range []struct {
		name    string
		service *corev1.Service
		serving bool
		phase   v1alpha1.RolloutPhase
		outcome analysis.Outcome
		reason  analysis.Reason
		text    string
	}{
		{"well", service("app-canary", "127.0.0.1", int32(at.Port())), true, v1alpha1.RolloutProgressing, analysis.Pass, analysis.ReasonHealthy, "1 canary pods and the Service app-canary answered well"},
		{"leads nowhere", service("app-canary", "127.0.0.99", int32(at.Port())), true, v1alpha1.RolloutProgressing, analysis.Inconclusive, analysis.ReasonProbesFailing, "Service app-canary: GET"},
		{"not before it has traffic", service("app-canary", "127.0.0.99", int32(at.Port())), false, v1alpha1.RolloutProgressing, analysis.Pass, analysis.ReasonHealthy, "canary pod app-canary-1: GET"},
		{"the user's own while it bakes", service("app", "127.0.0.1", int32(at.Port())), true, v1alpha1.RolloutBaking, analysis.Pass, analysis.ReasonHealthy, "the Service app answered well"},
		{"not there", service("other", "127.0.0.1", 1), true, v1alpha1.RolloutProgressing, analysis.Inconclusive, analysis.ReasonNoData, "there is no Service default/app-canary"},
		{"another port", service("app-canary", "127.0.0.1", 1), true, v1alpha1.RolloutProgressing, analysis.Inconclusive, analysis.ReasonBadQuery, "has no such port, but 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			analyst, trial := newTrial(t, "127.0.0.1", check)
			if err := analyst.Client.Create(t.Context(), tc.service); err != nil {
				t.Fatal(err)
			}
			trial.Serving, trial.Rollout.Status.Phase = tc.serving, tc.phase
			trial.Rollout.Spec.WorkloadRef.Name = "app"
			trial.Rollout.Spec.Traffic = v1alpha1.Traffic{Service: "app", RouteRef: &v1alpha1.RouteReference{Name: "app"}}
			v := look(t, analyst, &trial, 0)
			got := v.Checks[1]
			if got.Outcome != tc.outcome || got.Reason != tc.reason || !strings.Contains(got.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", got.Outcome, got.Reason, got.Message, tc.outcome, tc.reason, tc.text)
			}
		})
	}
}
