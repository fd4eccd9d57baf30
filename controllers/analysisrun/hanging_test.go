package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/probe"
	recording "github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// hanging is a source that takes questions and never answers.
type hanging struct{}

func (hanging) Metrics(context.Context, string, *v1alpha1.MetricSource) (Metrics, error) {
	return hanging{}, nil
}

func (hanging) Due(ctx context.Context, check analysis.Check, _ Series, _ analysis.State, now time.Time) []analysis.Observation {
	<-ctx.Done()
	return []analysis.Observation{{
		Check: check.Name, Window: analysis.Window{Start: now, End: now},
		Absence: &analysis.Absence{Kind: analysis.Outage, Message: "prometheus does not answer"},
	}}
}

func (hanging) Past(ctx context.Context, _ analysis.Check, _ Series, _, _ time.Time) ([]analysis.Counts, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// pods asks real pods.
type pods struct{ *probe.Prober }

func (p pods) Looks(ctx context.Context, asked []Asked, now time.Time) []analysis.Observation {
	all := make([]probe.Asked, len(asked))
	for i, one := range asked {
		all[i].Check = one.Check
		for _, pod := range one.Pods.Canary {
			all[i].Pods.Canary = append(all[i].Pods.Canary, probe.Pod(pod))
		}
		for _, pod := range one.Pods.Services {
			all[i].Pods.Services = append(all[i].Pods.Services, probe.Pod(pod))
		}
	}
	return p.Prober.Looks(ctx, all, now)
}

// newTrial gives an analyst and the trial of a canary with one pod at an address.
func newTrial(t *testing.T, ip string, checks ...v1alpha1.Check) (*Analyst, rollout.Trial) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.AnalysisRun{}).Build()
	prober, err := probe.New()
	if err != nil {
		t.Fatal(err)
	}
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "1"},
		Spec:       v1alpha1.RolloutSpec{Analysis: v1alpha1.Analysis{Checks: checks}},
		Status:     v1alpha1.RolloutStatus{Trial: 1, Canary: &v1alpha1.Revision{TemplateHash: "b"}},
	}
	now := time.Now()
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app-canary-1", CreationTimestamp: metav1.NewTime(now)},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
		}},
	}
	analyst := &Analyst{Client: c, Reader: c, Prober: pods{prober}, Sources: hanging{}}
	return analyst, rollout.Trial{Rollout: ro, Canary: []corev1.Pod{pod}, Serving: true, Now: now}
}

// punctual has a client do as the API server, which takes no request whose time is
// over. It is for tests with a clock of their own: a busy machine lets time pass.
func punctual(t *testing.T, c client.Client) client.Client {
	t.Helper()
	watched, ok := c.(client.WithWatch)
	if !ok {
		t.Fatalf("%T cannot watch", c)
	}
	return interceptor.NewClient(watched, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, name string, object client.Object, options ...client.SubResourceUpdateOption) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.SubResource(name).Update(ctx, object, options...)
	}})
}

// TestSourceThatHangs states that a source that takes questions and does not
// answer freezes the trial, says so, and is counted from its first silence.
func TestSourceThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		analyst, trial := newTrial(t, "127.0.0.1", v1alpha1.Check{Name: "errors", Ratio: &v1alpha1.RatioCheck{Total: "requests_total", Bad: `requests_total{code=~"5.."}`}})
		analyst.Client = punctual(t, analyst.Client)
		for range 2 {
			verdict, err := analyst.Look(t.Context(), trial)
			if err != nil {
				t.Fatal(err)
			}
			if verdict.Outcome != analysis.Inconclusive || !verdict.Freeze || !strings.Contains(verdict.Message, "prometheus does not answer") {
				t.Errorf("%s, freeze %t: %s", verdict.Outcome, verdict.Freeze, verdict.Message)
			}
			trial.Now = trial.Now.Add(40 * time.Minute)
		}
		verdict, err := analyst.Look(t.Context(), trial)
		if err != nil || !verdict.NeedsPerson || !strings.Contains(verdict.Message, "promote or abort the rollout") {
			t.Errorf("after 80 minutes of silence no person is asked: %v, %s", err, verdict.Message)
		}
	})
}

// answering has the analyst's pods answer by a handler, over pipes in place of
// sockets: a test with a clock of its own waits for those too.
func answering(t *testing.T, analyst *Analyst, handler http.HandlerFunc) {
	t.Helper()
	dialled := pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = server.Serve(dialled) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-over
	})
	prober, err := probe.NewDialling(dialled.dial)
	if err != nil {
		t.Fatal(err)
	}
	analyst.Prober = pods{prober}
}

// pipes listens for the other ends of what it dials.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// TestPodThatHangs states that a pod that takes requests and does not answer
// fails its probe, though that takes longer than sources may.
func TestPodThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		analyst, trial := newTrial(t, "10.0.0.1", v1alpha1.Check{
			Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "/", Timeout: metav1.Duration{Duration: lookLimit + 500*time.Millisecond}}},
		})
		analyst.Client = punctual(t, analyst.Client)
		answering(t, analyst, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		var verdict analysis.Verdict
		for range 2 {
			var err error
			if verdict, err = analyst.Look(t.Context(), trial); err != nil {
				t.Fatal(err)
			}
			trial.Now = trial.Now.Add(10 * time.Second)
		}
		if verdict.Outcome != analysis.Fail || !strings.Contains(verdict.Message, "no answer within 4.5s") {
			t.Errorf("%s: %s", verdict.Outcome, verdict.Message)
		}
	})
}

// TestProbesSideBySide states that checks ask a pod at the same time: here it
// answers none before all have asked.
func TestProbesSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 8
		var arrived atomic.Int32
		all := make(chan struct{})
		var checks []v1alpha1.Check
		for i := range many {
			checks = append(checks, v1alpha1.Check{Name: fmt.Sprint("health-", i), HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: fmt.Sprint("/", i)}}})
		}
		analyst, trial := newTrial(t, "10.0.0.1", checks...)
		answering(t, analyst, func(w http.ResponseWriter, r *http.Request) {
			if arrived.Add(1) == many {
				close(all)
			}
			select {
			case <-all:
			case <-r.Context().Done():
			}
			if r.URL.Path == "/2" {
				w.WriteHeader(http.StatusTeapot)
			}
		})
		verdict, err := analyst.Look(t.Context(), trial)
		if err != nil {
			t.Fatal(err)
		}
		for i, check := range verdict.Checks[1:] {
			want := "status 200"
			if i == 2 {
				want = "status 418"
			}
			if !strings.Contains(check.Message, want) || !strings.Contains(check.Message, fmt.Sprint("/", i)) {
				t.Errorf("check %d, %s: %q, want %s", i, check.Name, check.Message, want)
			}
		}
	})
}

// TestRecordAnew states that a trial is judged by corrected checks once its
// AnalysisRun, which was made with the wrong ones, is deleted.
func TestRecordAnew(t *testing.T) {
	t.Parallel()
	analyst, trial := newTrial(t, "127.0.0.1", v1alpha1.Check{Name: "wrong", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 1}}})
	if _, err := analyst.Look(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	if err := analyst.Client.DeleteAllOf(t.Context(), &v1alpha1.AnalysisRun{}, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	trial.Rollout.Spec.Analysis.Checks[0].Name = "right"
	for range 2 {
		trial.Now = trial.Now.Add(10 * time.Second)
		if verdict, err := analyst.Look(t.Context(), trial); err == nil && verdict.Checks[1].Name == "right" {
			return
		}
	}
	t.Error("the trial is still judged by what its deleted AnalysisRun asked")
}

// TestRecordOfAnotherVersion states that a trial whose record cannot be read,
// such as one of a version of Serin before this one, is judged from here on.
func TestRecordOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*v1alpha1.AnalysisRunStatus){
		"state":   func(s *v1alpha1.AnalysisRunStatus) { s.State = "no state" },
		"record":  func(s *v1alpha1.AnalysisRunStatus) { s.Record = "no record" },
		"version": func(s *v1alpha1.AnalysisRunStatus) { s.Record = recording.Pack(`{"version":0}`) },
	} {
		analyst, trial := newTrial(t, "127.0.0.1", v1alpha1.Check{Name: "web", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 1}}})
		if _, err := analyst.Look(t.Context(), trial); err != nil {
			t.Fatal(err)
		}
		var runs v1alpha1.AnalysisRunList
		if err := analyst.Client.List(t.Context(), &runs); err != nil || len(runs.Items) != 1 {
			t.Fatalf("%d records, %v", len(runs.Items), err)
		}
		change(&runs.Items[0].Status)
		if err := analyst.Client.Status().Update(t.Context(), &runs.Items[0]); err != nil {
			t.Fatal(err)
		}
		again := &Analyst{Client: analyst.Client, Reader: analyst.Reader, Prober: analyst.Prober, Sources: analyst.Sources}
		trial.Now = trial.Now.Add(time.Minute)
		if _, err := again.Look(t.Context(), trial); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
