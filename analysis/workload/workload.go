// Package workload judges pods by what the kubelet reports of them. It is pure:
// the caller brings the pods and the time.
package workload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DefaultUnreadyLimit is how long a canary pod may stay unready.
const DefaultUnreadyLimit = 2 * time.Minute

// Health of the canary's pods.
type Health string

// The states of health.
const (
	Healthy Health = "Healthy"
	Waiting Health = "Waiting"
	Failed  Health = "Failed"
)

// The reasons of a Finding, stable tokens.
const (
	ReasonHealthy     = "Healthy"
	ReasonCrashed     = "Crashed"
	ReasonOOMKilled   = "OOMKilled"
	ReasonImagePull   = "ImagePull"
	ReasonUnready     = "Unready"
	ReasonNotReadyYet = "NotReadyYet"
)

// Finding is the judgement of the canary's pods.
type Finding struct {
	At      time.Time `json:"at"`
	Health  Health    `json:"health"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	// Ready of Pods pods have ready containers.
	Ready int `json:"ready"`
	Pods  int `json:"pods"`
}

// imageReasons are the waiting reasons with which the kubelet says that it has
// no image; see its images.go for the words.
var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "SignatureValidationFailed", "RegistryUnavailable"}

// pullReasons are those of them whose message has the cause; awayReasons are those
// that say by themselves that the registry, or the node's runtime, is away.
var (
	pullReasons = []string{"ErrImagePull", "ImagePullBackOff"}
	awayReasons = []string{"RegistryUnavailable", "ImageInspectError"}
)

// finalTroubles are words of registries and of containerd, CRI-O and Docker by
// which the image itself is at fault, or what this revision gives to get it with.
// All other causes are the registry's, the way's or the node's, of which there are
// more than a list can hold.
var finalTroubles = []string{
	// Not there.
	"not found", "manifest unknown", "name unknown", "blob unknown", "does not exist", "name not known", "statuscode: 404",
	// Not allowed.
	"access denied", "is denied", "denied:", "unauthorized", "not authorized", "authorization failed", "no basic auth credentials",
	"403 forbidden", "statuscode: 403", "signature validation failed", "signaturevalidationfailed", "source image rejected",
	// Not for this node, or damaged.
	"no match for platform", "no matching manifest", "no image found in", "invalid reference", "invalid repository name",
	"manifest invalid", "unsupported manifest", "unsupported media type", "unexpected media type", "operation is unsupported",
	"unexpected commit digest", "unexpected commit size", "failed size validation", "digest did not match", "wrong diff id",
	"mismatched image rootfs", "manifest verification failed", "config verification failed", "layer verification failed",
	"invalid tar", "gzip: invalid header",
}

// nodeTroubles are words of a node's store that has lost something, which are not
// of the image though they sound like it.
var nodeTroubles = []string{"parent snapshot", "content digest"}

// mirrors are what CRI-O says of mirrors before it says what the registry answered:
// a mirror may lack any image.
var mirrors = regexp.MustCompile(`\(mirrors also failed: .*?\]\): `)

// configReasons are the waiting reasons of a container that cannot be made.
var configReasons = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

// Assess judges pods by what the kubelet reports. It fails at once on a
// crash, an out-of-memory kill and a missing image, and when a pod stays
// unready beyond its limit; it needs no traffic and no metrics. A pod that waits
// for what its revision cannot give (see Blocked) is waited for without limit.
func Assess(w Limits, pods []Pod, now time.Time) Finding {
	f := Finding{At: now, Health: Healthy, Reason: ReasonHealthy}
	var waiting string
	for _, p := range sortedPods(pods) {
		if p.Deleting || ended(p) {
			continue
		}
		if reason, message := crash(w, p); reason != "" {
			return Finding{At: now, Health: Failed, Reason: reason, Message: message, Pods: len(pods)}
		}
		f.Pods++
		if p.ContainersReady {
			f.Ready++
			continue
		}
		why := notReady(p, now)
		if blocked, _ := Blocked(p); !blocked && unreadyFor(p, now) >= w.unreadyLimit() {
			return Finding{At: now, Health: Failed, Reason: ReasonUnready, Pods: len(pods), Message: fmt.Sprintf(
				"canary pod %s has been unready for %s, limit %s: %s", p.Name, round(unreadyFor(p, now)), w.unreadyLimit(), why)}
		}
		if waiting == "" {
			waiting = why
		}
	}
	if f.Ready < max(f.Pods, w.minPods()) {
		f.Health, f.Reason = Waiting, ReasonNotReadyYet
		f.Message = fmt.Sprintf("%d of %d canary pods are ready", f.Ready, max(f.Pods, w.minPods()))
		if waiting != "" {
			f.Message += ": " + waiting
		}
		return f
	}
	f.Message = fmt.Sprintf("%d of %d canary pods are ready, none crashed", f.Ready, f.Pods)
	return f
}

// ended says that a pod ran its course. One whose containers are always
// restarted does so only where its node ended it: evicted, shut down, preempted
// or refused it. That says nothing of the revision, and another takes its place.
func ended(p Pod) bool { return p.Phase == "Succeeded" || p.Phase == "Failed" }

// Blocked says whether a pod cannot start for a cause that is not its
// revision's, and which in words: no node has room for it, or the source of its
// image is away.
func Blocked(p Pod) (bool, string) {
	if p.ContainersReady {
		return false, ""
	}
	if !p.Scheduled {
		return true, fmt.Sprintf("pod %s is not scheduled%s", p.Name, detail(p.SchedulingMessage))
	}
	for _, c := range p.Containers {
		if SourceAway(c.Waiting, c.WaitingMessage) {
			return true, imageTrouble(p, c)
		}
	}
	return false, ""
}

// SourceAway says whether a container that waits, for the kubelet's reason and
// message, waits for the source of its image to come back.
func SourceAway(reason, message string) bool {
	switch {
	case slices.Contains(awayReasons, reason):
		return true
	case reason == "ImagePullBackOff" && !strings.Contains(message, ": "):
		// Old kubelets name no cause while they wait for the next try.
		return false
	}
	return slices.Contains(pullReasons, reason) && passing(message)
}

func imageTrouble(p Pod, c Container) string {
	return fmt.Sprintf("container %s of pod %s waits for its image: %s%s", c.Name, p.Name, c.Waiting, detail(c.WaitingMessage))
}

// crash gives the reason for which a pod fails the canary at once.
func crash(w Limits, p Pod) (reason, message string) {
	for _, c := range p.Containers {
		switch {
		case c.Terminated == "OOMKilled":
			return ReasonOOMKilled, fmt.Sprintf("container %s of canary pod %s was killed for lack of memory (%d restarts): raise its memory limit or mend the leak", c.Name, p.Name, c.Restarts)
		case slices.Contains(imageReasons, c.Waiting) && !SourceAway(c.Waiting, c.WaitingMessage):
			return ReasonImagePull, fmt.Sprintf("container %s of canary pod %s has no image: %s%s", c.Name, p.Name, c.Waiting, detail(c.WaitingMessage))
		case crashes(c) > w.MaxRestarts:
			return ReasonCrashed, fmt.Sprintf("container %s of canary pod %s crashed %s, %s (last: %s, exit code %d)", c.Name, p.Name, times(crashes(c)), accepted(w.MaxRestarts), orUnknown(c.Terminated), c.ExitCode)
		}
	}
	return "", ""
}

// passing says whether the kubelet's words are of a trouble that passes.
func passing(message string) bool {
	message = mirrors.ReplaceAllString(strings.ToLower(message), "")
	says := func(words string) bool { return strings.Contains(message, words) }
	return slices.ContainsFunc(nodeTroubles, says) || !slices.ContainsFunc(finalTroubles, says)
}

// crashes counts a termination that has not been followed by a restart yet.
func crashes(c Container) int32 {
	if c.Restarts == 0 && c.Terminated != "" && c.ExitCode != 0 {
		return 1
	}
	return c.Restarts
}

// accepted says how many crashes fail nothing.
func accepted(n int32) string {
	if n == 0 {
		return "and none is accepted"
	}
	return fmt.Sprintf("at most %d accepted", n)
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// unreadyFor is how long a pod has been without ready containers, from when it
// had all that it needs to start: a node, and the image of each container.
func unreadyFor(p Pod, now time.Time) time.Duration {
	since := p.Created
	started := []time.Time{p.ScheduledAt, p.Since}
	for _, c := range p.Containers {
		if c.Restarts == 0 {
			started = append(started, c.StartedAt)
		}
	}
	for _, at := range started {
		if at.After(since) {
			since = at
		}
	}
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}

func notReady(p Pod, now time.Time) string {
	if blocked, why := Blocked(p); blocked {
		return why
	}
	for _, c := range p.Containers {
		if slices.Contains(configReasons, c.Waiting) {
			return fmt.Sprintf("container %s of pod %s cannot start: %s%s", c.Name, p.Name, c.Waiting, detail(c.WaitingMessage))
		}
	}
	for _, c := range p.Containers {
		if !c.Ready && !c.Init {
			return fmt.Sprintf("container %s of pod %s has not been ready for %s", c.Name, p.Name, round(unreadyFor(p, now)))
		}
	}
	return fmt.Sprintf("pod %s is starting", p.Name)
}

func sortedPods(pods []Pod) []Pod {
	return slices.SortedFunc(slices.Values(pods), func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
}

func (w Limits) unreadyLimit() time.Duration {
	if w.UnreadyLimit > 0 {
		return w.UnreadyLimit
	}
	return DefaultUnreadyLimit
}

func (w Limits) minPods() int { return max(w.MinPods, 1) }

func detail(s string) string {
	if s == "" {
		return ""
	}
	const longest = 200
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return ": " + s
}

func orUnknown(s string) string {
	if s == "" {
		return "reason unknown"
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
