package analysisrun

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestCheckOf(t *testing.T) {
	low, high := -1.0, 0.5
	tests := map[string]struct {
		check v1alpha1.Check
		want  analysis.Check
	}{
		"ratio": {
			v1alpha1.Check{Name: "errors", DryRun: true, InitialDelay: metav1.Duration{Duration: time.Minute}, Ratio: &v1alpha1.RatioCheck{
				Total: "a", Bad: "b", Objective: "0.01", Tolerated: "1.5", Arms: &v1alpha1.Arms{Canary: "c", Stable: "s"}}},
			analysis.Check{Name: "errors", Kind: analysis.KindRatio, DryRun: true, InitialDelay: time.Minute, Ratio: &analysis.Ratio{
				Comparison: analysis.Comparison{Tolerance: 1.5, Objective: 0.01, Arms: &analysis.Arms{Canary: "c", Stable: "s"}}, Total: "a", Bad: "b"}},
		},
		"latency": {
			v1alpha1.Check{Name: "slow", Latency: &v1alpha1.LatencyCheck{Histogram: "h", Bound: "0.25"}},
			analysis.Check{Name: "slow", Kind: analysis.KindLatency, Latency: &analysis.Latency{Histogram: "h", Bound: 0.25}},
		},
		"threshold": {
			v1alpha1.Check{Name: "memory", Threshold: &v1alpha1.ThresholdCheck{Query: "q", Min: "-1", Max: "0.5", Failures: 2, Samples: 4}},
			analysis.Check{Name: "memory", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "q", Min: &low, Max: &high, Failing: 2, Of: 4}},
		},
		"http": {
			v1alpha1.Check{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "/x", Failures: 1, Samples: 2}, Expression: "status == 200"}},
			analysis.Check{Name: "health", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80, Path: "/x", Expression: "status == 200", Failing: 1, Of: 2}},
		},
		"peers": {
			v1alpha1.Check{Name: "peers", Peers: &v1alpha1.PeersCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "/p"}, List: "json.l", Min: 2, SharePercent: 50,
				Identity: "json.id", Mutual: true, Including: &metav1.LabelSelector{}}},
			analysis.Check{Name: "peers", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: 80, Path: "/p", List: "json.l", Min: 2, MinShareOfStable: 0.5,
				Self: &analysis.Identity{Path: "/p", Expression: "json.id"}, MustInclude: analysis.IncludeAny, SeenFromOtherSide: true}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := checkOf(test.check)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := checkOf(v1alpha1.Check{Name: "nothing"}); err == nil {
		t.Error("a check without a kind is taken")
	}
}

func TestFill(t *testing.T) {
	handler := "work"
	spec := v1alpha1.AnalysisTemplateSpec{
		Parameters: []v1alpha1.Parameter{{Name: "handler", Default: &handler}, {Name: "bound"}},
		Checks: []v1alpha1.Check{{Name: "errors", Ratio: &v1alpha1.RatioCheck{
			Total: `requests{handler="${handler}",namespace="${serin.namespace}"}`, Bad: "b", Objective: "${bound}"}}},
	}
	tests := map[string]struct {
		args  []v1alpha1.Argument
		total string
		err   string
	}{
		"with its defaults": {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}}, `requests{handler="work",namespace="${serin.namespace}"}`, ""},
		"with a quote":      {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}, {Name: "handler", Value: `a\"b`}}, `requests{handler="a\"b",namespace="${serin.namespace}"}`, ""},
		"nothing for bound": {nil, "", "parameter bound has no default"},
		"unknown":           {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}, {Name: "other", Value: "1"}}, "", "no parameter other"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fill(spec, test.args)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Ratio.Total != test.total || got[0].Ratio.Objective != "0.1" {
				t.Errorf("total %s, objective %s", got[0].Ratio.Total, got[0].Ratio.Objective)
			}
		})
	}
}

func TestBeforeTraffic(t *testing.T) {
	check := func(kind analysis.Kind, outcome analysis.Outcome, reason analysis.Reason) analysis.CheckVerdict {
		return analysis.CheckVerdict{Kind: kind, Outcome: outcome, Reason: reason}
	}
	healthy := check(analysis.KindWorkload, analysis.Pass, analysis.ReasonHealthy)
	tests := map[string]struct {
		verdict analysis.Verdict
		want    analysis.Outcome
	}{
		"no requests yet":       {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindRatio, analysis.Inconclusive, analysis.ReasonTooFewRequests)}}, analysis.Pass},
		"no series yet":         {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindLatency, analysis.Inconclusive, analysis.ReasonNoSeries)}}, analysis.Pass},
		"pods not up":           {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{check(analysis.KindWorkload, analysis.Inconclusive, analysis.ReasonNotReadyYet)}}, analysis.Inconclusive},
		"a probe not answered":  {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindHTTP, analysis.Inconclusive, analysis.ReasonNoData)}}, analysis.Inconclusive},
		"suspicious":            {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindRatio, analysis.Inconclusive, analysis.ReasonSuspicious)}}, analysis.Inconclusive},
		"the source is away":    {analysis.Verdict{Outcome: analysis.Inconclusive, Freeze: true, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindRatio, analysis.Inconclusive, analysis.ReasonSourceOutage)}}, analysis.Inconclusive},
		"a wrong query":         {analysis.Verdict{Outcome: analysis.Inconclusive, NeedsPerson: true, Checks: []analysis.CheckVerdict{healthy, check(analysis.KindRatio, analysis.Inconclusive, analysis.ReasonNoData)}}, analysis.Inconclusive},
		"failed":                {analysis.Verdict{Outcome: analysis.Fail, Checks: []analysis.CheckVerdict{check(analysis.KindWorkload, analysis.Fail, analysis.ReasonCrashed)}}, analysis.Fail},
		"a dry run that waits":  {analysis.Verdict{Outcome: analysis.Inconclusive, Checks: []analysis.CheckVerdict{healthy, {Kind: analysis.KindHTTP, Outcome: analysis.Inconclusive, DryRun: true}}}, analysis.Pass},
		"passes with all known": {analysis.Verdict{Outcome: analysis.Pass, Proven: true}, analysis.Pass},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := beforeTraffic(test.verdict); got.Outcome != test.want {
				t.Errorf("outcome %s, want %s", got.Outcome, test.want)
			}
		})
	}
}

func TestMatcher(t *testing.T) {
	yes := true
	pod := func(set string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: set + "-x", OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: set, Controller: &yes}}}}
	}
	tests := map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"one set":  {[]corev1.Pod{pod("app-1"), pod("app-1")}, `namespace="shop",pod=~"app-1-.+"`},
		"two sets": {[]corev1.Pod{pod("app-2"), pod("app-1")}, `namespace="shop",pod=~"app-1-.+|app-2-.+"`},
		"a dot":    {[]corev1.Pod{pod("app.v1-1")}, `namespace="shop",pod=~"app\\.v1-1-.+"`},
		"none":     {nil, `namespace="shop",pod=~"-"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := matcher("shop", test.pods); got != test.want {
				t.Errorf("matcher %s, want %s", got, test.want)
			}
		})
	}
}

func TestPodState(t *testing.T) {
	at := metav1.NewTime(time.Unix(1_700_000_000, 0))
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app-1", CreationTimestamp: at},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
				{Type: corev1.ContainersReady, Status: corev1.ConditionFalse, LastTransitionTime: at},
				{Type: v1alpha1.GateTraffic, Status: corev1.ConditionTrue},
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "app", RestartCount: 2,
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}},
			}},
		},
	}
	want := analysis.PodState{
		Name: "app-1", Created: at.Time, Phase: "Running", Scheduled: true, Since: at.Time,
		Containers: []analysis.ContainerState{{Name: "app", Restarts: 2, Waiting: "CrashLoopBackOff", WaitingMessage: "back-off", Terminated: "OOMKilled", ExitCode: 137}},
	}
	if diff := cmp.Diff(want, podState(&pod)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}
