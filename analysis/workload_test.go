package analysis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

func TestAssessPods(t *testing.T) {
	now := began.Add(5 * time.Minute)
	pod := func(change func(*analysis.PodState)) analysis.PodState {
		p := analysis.PodState{Name: "web-1", Phase: "Running", Scheduled: true, ContainersReady: true, Created: now.Add(-time.Minute), Since: now.Add(-30 * time.Second),
			Containers: []analysis.ContainerState{{Name: "main", Ready: true}}}
		if change != nil {
			change(&p)
		}
		return p
	}
	unready := func(since time.Duration, main analysis.ContainerState) func(*analysis.PodState) {
		return func(p *analysis.PodState) {
			p.ContainersReady, p.Since = false, now.Add(-since)
			main.Name = "main"
			p.Containers = []analysis.ContainerState{main}
		}
	}
	for _, tc := range []struct {
		name    string
		check   analysis.Workload
		pods    []analysis.PodState
		outcome analysis.Outcome
		reason  analysis.Reason
		text    string
	}{
		{"ready", analysis.Workload{}, []analysis.PodState{pod(nil)}, analysis.Pass, analysis.ReasonHealthy, "1 of 1 canary pods are ready"},
		{"none yet", analysis.Workload{}, nil, analysis.Inconclusive, analysis.ReasonNotReadyYet, "0 of 1"},
		{"too few", analysis.Workload{MinPods: 2}, []analysis.PodState{pod(nil)}, analysis.Inconclusive, analysis.ReasonNotReadyYet, "1 of 2"},
		{"starting", analysis.Workload{}, []analysis.PodState{pod(unready(time.Second, analysis.ContainerState{}))}, analysis.Inconclusive, analysis.ReasonNotReadyYet, "has not been ready for 1s"},
		{"unready too long", analysis.Workload{UnreadyLimit: time.Minute}, []analysis.PodState{pod(unready(time.Minute, analysis.ContainerState{}))}, analysis.Fail, analysis.ReasonUnready, "limit 1m0s"},
		{"crashed, not yet restarted", analysis.Workload{}, []analysis.PodState{pod(unready(0, analysis.ContainerState{Terminated: "Error", ExitCode: 1}))}, analysis.Fail, analysis.ReasonCrashed, "exit code 1"},
		{"restarted and ready again", analysis.Workload{}, []analysis.PodState{pod(func(p *analysis.PodState) { p.Containers[0].Restarts = 1 })}, analysis.Fail, analysis.ReasonCrashed, "crashed 1 times, 0 accepted"},
		{"restarts accepted", analysis.Workload{MaxRestarts: 1}, []analysis.PodState{pod(func(p *analysis.PodState) { p.Containers[0].Restarts = 1 })}, analysis.Pass, analysis.ReasonHealthy, ""},
		{"out of memory is never accepted", analysis.Workload{MaxRestarts: 9}, []analysis.PodState{pod(func(p *analysis.PodState) {
			p.Containers[0].Restarts, p.Containers[0].Terminated = 1, "OOMKilled"
		})}, analysis.Fail, analysis.ReasonOOMKilled, "memory"},
		{"no image", analysis.Workload{}, []analysis.PodState{pod(unready(0, analysis.ContainerState{Waiting: "ErrImagePull", WaitingMessage: "not found"}))}, analysis.Fail, analysis.ReasonImagePull, "not found"},
		{"no config yet", analysis.Workload{}, []analysis.PodState{pod(unready(time.Second, analysis.ContainerState{Waiting: "CreateContainerConfigError", WaitingMessage: "configmap missing"}))}, analysis.Inconclusive, analysis.ReasonNotReadyYet, "configmap missing"},
		{"not scheduled", analysis.Workload{UnreadyLimit: time.Minute}, []analysis.PodState{pod(func(p *analysis.PodState) {
			*p = analysis.PodState{Name: "web-1", Phase: "Pending", Created: now.Add(-2 * time.Minute), SchedulingMessage: "0/1 nodes: insufficient cpu"}
		})}, analysis.Fail, analysis.ReasonUnready, "insufficient cpu"},
		{"init container done", analysis.Workload{}, []analysis.PodState{pod(func(p *analysis.PodState) {
			p.Containers = append(p.Containers, analysis.ContainerState{Name: "init", Init: true, Terminated: "Completed"})
		})}, analysis.Pass, analysis.ReasonHealthy, ""},
		{"deleting is not judged", analysis.Workload{}, []analysis.PodState{pod(nil), pod(func(p *analysis.PodState) {
			p.Deleting, p.Containers[0].Restarts = true, 5
		})}, analysis.Pass, analysis.ReasonHealthy, "1 of 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := analysis.AssessPods(tc.check, tc.pods, now)
			if f.Outcome != tc.outcome || f.Reason != tc.reason || !strings.Contains(f.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", f.Outcome, f.Reason, f.Message, tc.outcome, tc.reason, tc.text)
			}
		})
	}
}
