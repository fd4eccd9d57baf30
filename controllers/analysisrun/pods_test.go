package analysisrun

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

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
			if got := BeforeTraffic(test.verdict); got.Outcome != test.want {
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
