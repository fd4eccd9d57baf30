package workload_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis/workload"
)

func TestAssess(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 5, 0, 0, time.UTC)
	pod := func(change func(*workload.Pod)) workload.Pod {
		p := workload.Pod{Name: "web-1", Phase: "Running", Scheduled: true, ContainersReady: true, Created: now.Add(-time.Minute), Since: now.Add(-30 * time.Second),
			Containers: []workload.Container{{Name: "main", Ready: true}}}
		if change != nil {
			change(&p)
		}
		return p
	}
	unready := func(since time.Duration, main workload.Container) func(*workload.Pod) {
		return func(p *workload.Pod) {
			p.ContainersReady, p.Since = false, now.Add(-since)
			main.Name = "main"
			p.Containers = []workload.Container{main}
		}
	}
	for _, tc := range []struct {
		name   string
		check  workload.Limits
		pods   []workload.Pod
		health workload.Health
		reason string
		text   string
	}{
		{"ready", workload.Limits{}, []workload.Pod{pod(nil)}, workload.Healthy, workload.ReasonHealthy, "1 of 1 canary pods are ready"},
		{"none yet", workload.Limits{}, nil, workload.Waiting, workload.ReasonNotReadyYet, "0 of 1"},
		{"too few", workload.Limits{MinPods: 2}, []workload.Pod{pod(nil)}, workload.Waiting, workload.ReasonNotReadyYet, "1 of 2"},
		{"starting", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{}))}, workload.Waiting, workload.ReasonNotReadyYet, "has not been ready for 1s"},
		{"unready too long", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(unready(time.Minute, workload.Container{}))}, workload.Failed, workload.ReasonUnready, "limit 1m0s"},
		{"crashed, not yet restarted", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Terminated: "Error", ExitCode: 1}))}, workload.Failed, workload.ReasonCrashed, "exit code 1"},
		{"restarted and ready again", workload.Limits{}, []workload.Pod{pod(func(p *workload.Pod) { p.Containers[0].Restarts = 1 })}, workload.Failed, workload.ReasonCrashed, "crashed once, and none is accepted"},
		{"restarted again", workload.Limits{MaxRestarts: 1}, []workload.Pod{pod(func(p *workload.Pod) { p.Containers[0].Restarts = 2 })}, workload.Failed, workload.ReasonCrashed, "crashed 2 times, at most 1 accepted"},
		{"restarts accepted", workload.Limits{MaxRestarts: 1}, []workload.Pod{pod(func(p *workload.Pod) { p.Containers[0].Restarts = 1 })}, workload.Healthy, workload.ReasonHealthy, ""},
		{"out of memory is never accepted", workload.Limits{MaxRestarts: 9}, []workload.Pod{pod(func(p *workload.Pod) {
			p.Containers[0].Restarts, p.Containers[0].Terminated = 1, "OOMKilled"
		})}, workload.Failed, workload.ReasonOOMKilled, "memory"},
		{"no image", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "ErrImagePull", WaitingMessage: "not found"}))}, workload.Failed, workload.ReasonImagePull, "not found"},
		{"registry away for a while", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: "unexpected status from HEAD request: 429 Too Many Requests"}))}, workload.Waiting, workload.ReasonNotReadyYet, "429 Too Many"},
		{"registry ends before it answers", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: `Back-off pulling image "r:5000/a@sha256:ab": ErrImagePull: failed to do request: Head "http://r:5000/v2/a/manifests/sha256:ab": EOF`}))}, workload.Waiting, workload.ReasonNotReadyYet, "EOF"},
		{"registry ends amid the request", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: "write tcp 10.0.0.1:1->10.0.0.2:5000: write: broken pipe"}))}, workload.Waiting, workload.ReasonNotReadyYet, "broken pipe"},
		{"registry ends a connection at rest", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `failed to do request: Head "http://r:5000/v2/a/manifests/sha256:ab": http: server closed idle connection`}))}, workload.Waiting, workload.ReasonNotReadyYet, "idle connection"},
		{"node without room for the image", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: "failed to extract layer sha256:ab: write /a: no space left on device"}))}, workload.Waiting, workload.ReasonNotReadyYet, "no space left"},
		{"the kubelet says that the registry is away", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "RegistryUnavailable", WaitingMessage: "image pull failed for r:5000/a because the registry is unavailable"}))}, workload.Waiting, workload.ReasonNotReadyYet, "unavailable"},
		{"the runtime is away", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ImageInspectError", WaitingMessage: `Failed to inspect image "": rpc error: dial unix /run/containerd.sock: connect: connection refused`}))}, workload.Waiting, workload.ReasonNotReadyYet, "inspect"},
		{"pulls are held up on the node", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `pull QPS exceeded`}))}, workload.Waiting, workload.ReasonNotReadyYet, "QPS"},
		{"a mirror lacks it and the registry is away", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `(Mirrors also failed: [m/a:v9: reading manifest v9 in m/a: manifest unknown]): r/a:v9: pinging container registry r: i/o timeout`}))}, workload.Waiting, workload.ReasonNotReadyYet, "timeout"},
		{"the node's store lost a layer", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `failed to prepare extraction snapshot: parent snapshot sha256:ab does not exist: not found`}))}, workload.Waiting, workload.ReasonNotReadyYet, "snapshot"},
		{"a node that may not write", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `mkdir /var/lib/containerd/x: permission denied`}))}, workload.Waiting, workload.ReasonNotReadyYet, "permission"},
		{"a wrong name at Quay", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: `Back-off pulling image "q/o/a": ErrImagePull: reading manifest v9 in q/o/a: unauthorized: access to the requested resource is not authorized`}))}, workload.Failed, workload.ReasonImagePull, "unauthorized"},
		{"a name that Docker Hub lacks", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `pull access denied, repository does not exist or may require authorization`}))}, workload.Failed, workload.ReasonImagePull, "denied"},
		{"a signature that is wrong", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: `Back-off pulling image "a": SignatureValidationFailed: image pull failed for a because the signature validation failed: Source image rejected: no signature exists`}))}, workload.Failed, workload.ReasonImagePull, "signature"},
		{"a damaged layer", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `failed to extract layer: wrong diff id calculated on extraction sha256:ab`}))}, workload.Failed, workload.ReasonImagePull, "diff id"},
		{"a damaged layer at Docker", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `filesystem layer verification failed for digest sha256:ab`}))}, workload.Failed, workload.ReasonImagePull, "layer verification"},
		{"a damaged configuration at Docker", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `image config verification failed for digest sha256:ab`}))}, workload.Failed, workload.ReasonImagePull, "config verification"},
		{"a certificate that the node does not know", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `unexpected status from HEAD request to https://r/v2/a/manifests/v9: 502 certificate verification failed`}))}, workload.Waiting, workload.ReasonNotReadyYet, "certificate"},
		{"no such tag", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "ErrImagePull", WaitingMessage: `failed to resolve reference "r:5000/a:v9": r:5000/a:v9: not found`}))}, workload.Failed, workload.ReasonImagePull, "not found"},
		{"not for this platform", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: `Back-off pulling image "a": ErrImagePull: no match for platform in manifest: not found`}))}, workload.Failed, workload.ReasonImagePull, "platform"},
		{"not allowed to pull", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "ErrImagePull", WaitingMessage: "failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r/token: 401 Unauthorized"}))}, workload.Failed, workload.ReasonImagePull, "401"},
		{"an old kubelet names no cause", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: `Back-off pulling image "r:5000/a:v9"`}))}, workload.Failed, workload.ReasonImagePull, "Back-off"},
		{"a name that is none", workload.Limits{}, []workload.Pod{pod(unready(0, workload.Container{Waiting: "InvalidImageName", WaitingMessage: `Failed to apply default image tag "A": couldn't parse image name`}))}, workload.Failed, workload.ReasonImagePull, "parse"},
		{"registry away for long", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(unready(time.Hour, workload.Container{Waiting: "ImagePullBackOff", WaitingMessage: "dial tcp: i/o timeout"}))}, workload.Waiting, workload.ReasonNotReadyYet, "i/o timeout"},
		{"registry is back, the container just runs", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(unready(time.Hour, workload.Container{StartedAt: now.Add(-5 * time.Second)}))}, workload.Waiting, workload.ReasonNotReadyYet, "for 5s"},
		{"runs and stays unready", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(unready(time.Hour, workload.Container{StartedAt: now.Add(-time.Minute)}))}, workload.Failed, workload.ReasonUnready, "limit 1m0s"},
		{"its node was shut down", workload.Limits{}, []workload.Pod{pod(nil), pod(func(p *workload.Pod) {
			p.Name, p.Phase, p.ContainersReady = "web-0", "Failed", false
			p.Containers[0].Terminated, p.Containers[0].ExitCode = "Error", 143
		})}, workload.Healthy, workload.ReasonHealthy, "1 of 1"},
		{"no config yet", workload.Limits{}, []workload.Pod{pod(unready(time.Second, workload.Container{Waiting: "CreateContainerConfigError", WaitingMessage: "configmap missing"}))}, workload.Waiting, workload.ReasonNotReadyYet, "configmap missing"},
		{"no room for long", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(func(p *workload.Pod) {
			*p = workload.Pod{Name: "web-1", Phase: "Pending", Created: now.Add(-2 * time.Hour), SchedulingMessage: "0/1 nodes: insufficient cpu"}
		})}, workload.Waiting, workload.ReasonNotReadyYet, "insufficient cpu"},
		{"a node was found just now", workload.Limits{UnreadyLimit: time.Minute}, []workload.Pod{pod(func(p *workload.Pod) {
			*p = workload.Pod{Name: "web-1", Phase: "Pending", Created: now.Add(-2 * time.Hour), Scheduled: true, ScheduledAt: now.Add(-time.Second)}
		})}, workload.Waiting, workload.ReasonNotReadyYet, "is starting"},
		{"init container done", workload.Limits{}, []workload.Pod{pod(func(p *workload.Pod) {
			p.Containers = append(p.Containers, workload.Container{Name: "init", Init: true, Terminated: "Completed"})
		})}, workload.Healthy, workload.ReasonHealthy, ""},
		{"deleting is not judged", workload.Limits{}, []workload.Pod{pod(nil), pod(func(p *workload.Pod) {
			p.Deleting, p.Containers[0].Restarts = true, 5
		})}, workload.Healthy, workload.ReasonHealthy, "1 of 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := workload.Assess(tc.check, tc.pods, now)
			if f.Health != tc.health || f.Reason != tc.reason || !strings.Contains(f.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", f.Health, f.Reason, f.Message, tc.health, tc.reason, tc.text)
			}
		})
	}
}
