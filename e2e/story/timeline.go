package story

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/world"
	"github.com/serin-gitops/serin/environments"
)

// look is how often the timeline looks.
const look = 200 * time.Millisecond

// timeline looks at promotions and rollouts and says what changed.
type timeline struct {
	w    *world.World
	say  func(string, ...any)
	seen map[string]string

	mutex           sync.Mutex
	crashed, judged time.Time
}

func newTimeline(w *world.World, say func(string, ...any)) *timeline {
	return &timeline{w: w, say: say, seen: map[string]string{}}
}

// run looks until ctx ends. A failed look is repeated: Serin and the API server
// may be away for a moment.
func (t *timeline) run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	first := true
	for {
		t.promotions(ctx, first)
		for _, environment := range world.Environments {
			t.rollout(ctx, environment, first)
		}
		t.pods(ctx)
		first = false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// changed says what is new about a thing, unless it is the first look.
func (t *timeline) changed(key, now string, silent bool) bool {
	if t.seen[key] == now {
		return false
	}
	t.seen[key] = now
	return !silent
}

func (t *timeline) promotions(ctx context.Context, silent bool) {
	var promotions v1alpha1.PromotionList
	if t.w.Watched.List(ctx, &promotions, client.InNamespace(world.Namespace)) != nil {
		return
	}
	for _, p := range promotions.Items {
		if p.Status.Phase != "" && t.changed("promotion/"+p.Name, string(p.Status.Phase), silent) {
			t.say("%-8s %s: %s", p.Spec.Environment, p.Status.Phase, p.Status.Message)
		}
	}
}

func (t *timeline) rollout(ctx context.Context, environment string, silent bool) {
	r, err := t.w.Rollout(ctx, environment)
	if err != nil {
		return
	}
	now := fmt.Sprintf("%s %d%%", r.Status.Phase, r.Status.Weight)
	if t.changed("rollout/"+environment, now, silent) {
		t.say("%-8s   rollout %s: %s", environment, now, r.Status.Message)
	}
	if environment == "dev" && r.Status.Canary != nil && isV4(r.Status.Canary.Images) && r.Status.Verdict == "Fail" {
		t.set(&t.judged, time.Now())
	}
}

// pods notes when the first canary pod of v1.4.0 crashed, by the kubelet's word
// (which knows whole seconds).
func (t *timeline) pods(ctx context.Context) {
	var pods corev1.PodList
	if t.w.Watched.List(ctx, &pods, client.InNamespace(t.w.NamespaceOf("dev")), client.MatchingLabels{v1alpha1.LabelArm: "canary"}) != nil {
		return
	}
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			ended := cmp.Or(status.LastTerminationState.Terminated, status.State.Terminated)
			if ended != nil && isV4([]string{pod.Spec.Containers[0].Image}) {
				t.set(&t.crashed, ended.FinishedAt.Time)
			}
		}
	}
}

// set keeps the first time.
func (t *timeline) set(at *time.Time, now time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if at.IsZero() {
		*at = now
	}
}

// crash is when the crash was first seen, and when the verdict was.
func (t *timeline) crash() (crashed, judged time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.crashed, t.judged
}

func isV4(images []string) bool {
	for _, image := range images {
		if parsed, err := environments.ParseImage(image); err == nil && parsed.Tag == v4 {
			return true
		}
	}
	return false
}
