package rollout

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// fault is what is wrong with a revision in the model.
type fault string

const (
	good fault = "good"
	// crash never gets its containers ready.
	crash fault = "crash"
	// errs fails the analysis once it has traffic.
	errs fault = "errors"
	// late fails only once the workload itself runs it.
	late fault = "late"
	// doubtful is neither proven good nor bad, and serves well.
	doubtful fault = "doubtful"
)

// world is a small model of a cluster with one workload: what the plan's
// mutations do, and what happens by itself in between.
type world struct {
	t   *testing.T
	rng *rand.Rand
	now time.Time

	spec     Spec
	faults   map[string]fault
	replicas int32

	exists, labelled, held bool
	// unheld says that the label still tells of a hold that has ended.
	unheld bool
	// unavailable says that one of its pods is not available.
	unavailable bool
	// keepsNone says that no ReplicaSet without pods is kept.
	keepsNone bool
	wanted    string
	// pods of the workload itself, by revision; all of them serve.
	pods map[string]int32

	canary Canary
	age    map[string]int
	serial int

	scaler   Autoscaler
	services Services
	narrowTo string

	weight   environments.Weight
	released bool

	status  Status
	request Request
	gone    bool

	// calm switches off noise: crashes of Serin, doubtful verdicts, lost pods.
	calm    bool
	failed  map[string]bool
	log     []string
	killed  bool
	deleted bool
}

func newWorld(t *testing.T, seed uint64, spec Spec) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0).UTC(), spec: spec,
		faults: map[string]fault{"a": good}, replicas: 4, exists: true, wanted: "a",
		pods: map[string]int32{"a": 4}, age: map[string]int{}, released: true, failed: map[string]bool{},
	}
	return w
}

func (w *world) revision(hash string) Revision {
	if hash == "" {
		return Revision{}
	}
	return Revision{TemplateHash: hash, PodTemplateHash: "pod-" + hash, Images: []string{"app:" + hash}}
}

// push changes the pod template; the admission policy holds it.
func (w *world) push(hash string, f fault) {
	w.faults[hash] = f
	if hash != w.wanted {
		w.wanted, w.held, w.unheld = hash, w.held || w.labelled, w.unheld && !w.labelled
	}
}

func (w *world) running() string {
	best, most := "", int32(0)
	for _, hash := range []string{"a", "b", "c"} {
		if w.pods[hash] > most {
			best, most = hash, w.pods[hash]
		}
	}
	return best
}

func (w *world) rolledOut() bool {
	return !w.held && !w.unavailable && w.pods[w.wanted] == w.replicas && w.total() == w.replicas
}

func (w *world) total() int32 { return w.pods["a"] + w.pods["b"] + w.pods["c"] }

func (w *world) snapshot() Snapshot {
	c := w.canary
	c.Pods = append([]Pod(nil), w.canary.Pods...)
	s := Snapshot{
		Spec: w.spec, Autoscaler: w.scaler, Canary: c, Services: w.services, Status: w.status, Request: w.request, Deleting: w.deleted,
		Workload: Workload{
			Exists: w.exists, Labelled: w.labelled && !w.unheld, Marked: w.labelled, Held: w.held, Paused: w.held, Wanted: w.revision(w.wanted), Running: w.revision(w.running()),
			OnCanary: w.pods[w.status.Canary.TemplateHash], OnStable: w.pods[w.status.Stable.TemplateHash], StableKept: !w.keepsNone || w.status.StableTemplate != "" || w.pods[w.status.Stable.TemplateHash] > 0, KeepsNone: w.keepsNone, RolledOut: w.rolledOut(), Replicas: w.replicas,
		},
		Route: Route{Weight: w.weight, Reached: true, Released: w.released, Foreign: w.weight != w.status.Weight},
	}
	if hash := w.status.Stable.TemplateHash; w.keepsNone && w.pods[hash] > 0 {
		s.Workload.StableTemplate = "template of " + hash
	}
	if !w.spec.Routed {
		s.Route = Route{Released: true, Reached: true}
	}
	s.Verdict = w.judge()
	return s
}

// judge is the truth about the revision on trial, at times clouded.
func (w *world) judge() Verdict {
	v := Verdict{Outcome: Pass, Proven: true, Message: "all is well", Evidence: []string{"check: all is well"}}
	hash := w.status.Canary.TemplateHash
	serves := w.canary.Serving() > 0 && w.canary.TemplateHash == hash
	switch f := w.faults[hash]; {
	case !w.status.Phase.Watched():
		return Verdict{}
	case f == errs && (serves || w.pods[hash] > 0),
		f == crash && (len(w.canary.Pods) > 0 && w.canary.TemplateHash == hash || w.pods[hash] > 0),
		f == late && (w.status.Phase == Baking || w.pods[hash] > 0):
		return Verdict{Outcome: Fail, Message: "revision " + hash + " is bad", Evidence: []string{"check: bad"}}
	}
	if w.faults[hash] == doubtful && serves {
		return Verdict{Outcome: Inconclusive, Message: "too little data"}
	}
	if w.calm {
		return v
	}
	switch w.rng.IntN(6) {
	case 0:
		return Verdict{Outcome: Inconclusive, Message: "too little data"}
	case 1:
		return Verdict{Outcome: Inconclusive, Freeze: true, Message: "the source is away"}
	}
	return v
}

// reconcile is one turn of the controller; with crashes it may end anywhere.
func (w *world) reconcile() {
	s := w.snapshot()
	plan := Decide(s, w.now)
	w.check(s, plan)
	if w.crashes() {
		return
	}
	w.status = plan.Status
	if w.status.Failure != "" {
		w.failed[w.status.Canary.TemplateHash] = true
	}
	if plan.Event != nil {
		w.log = append(w.log, "event: "+plan.Event.Reason+": "+plan.Event.Message)
	}
	if w.crashes() {
		return
	}
	before := w.exposure()
	w.killed = false
	w.apply(plan.Action)
	if after := w.exposure(); after > before && s.Verdict.Outcome != Pass {
		w.t.Fatalf("the traffic of the canary rose from %d to %d on verdict %q: %+v", before, after, s.Verdict.Outcome, plan.Action)
	}
}

// exposure measures how much traffic the canary may get.
func (w *world) exposure() int {
	n := int(w.canary.open())
	if w.spec.Routed {
		n *= int(w.weight)
	}
	return n
}

func (w *world) crashes() bool { return !w.calm && w.rng.IntN(8) == 0 }

// check states what holds at every decision.
func (w *world) check(s Snapshot, plan Plan) {
	w.t.Helper()
	if plan.Status.Trial > s.Status.Trial {
		if hash := plan.Status.Canary.TemplateHash; w.failed[hash] && s.Request.Verb != Retry {
			w.t.Fatalf("revision %s failed and is tried again without a person", hash)
		}
	}
	if plan.Status.Failure != "" && s.Status.Failure == "" && w.exposure() > 0 && plan.Action.Do != StopTraffic {
		w.t.Fatalf("the trial failed with the canary in traffic, and the first thing done is %q", plan.Action.Do)
	}
}

// serves states that no request fails because of Serin.
func (w *world) serves() {
	w.t.Helper()
	if w.total() < w.replicas {
		w.t.Fatalf("the workload has %d pods of %d", w.total(), w.replicas)
	}
	if w.scaler.Exists && w.calm && w.exposure() > 0 && w.status.Phase.OnTrial() && w.scaler.Floor < w.replicas {
		w.t.Fatalf("the autoscaler may shrink stable to %d while the canary serves", w.scaler.Floor)
	}
	if !w.spec.Routed || w.released || w.replicas == 0 {
		return
	}
	endpoints := w.total()
	if w.services.Narrow {
		endpoints = w.pods[w.narrowTo]
	}
	if w.weight < 100 && endpoints == 0 {
		w.t.Fatalf("the Service of stable has no pod at weight %s: %v, narrow to %q", w.weight, w.pods, w.narrowTo)
	}
	if w.weight > 0 && w.canary.Serving() == 0 && !w.killed {
		w.t.Fatalf("the route sends %s to a canary without a pod: %+v\n%s", w.weight, w.status, strings.Join(w.log, "\n"))
	}
}

func (w *world) apply(a Action) {
	if a.Do != Nothing {
		w.log = append(w.log, fmt.Sprintf("%s %s", describe(a), a.Reason))
	}
	switch a.Do {
	case Nothing:
	case Label:
		w.labelled, w.unheld = true, false
	case EnsureServices:
		w.services.Behind = !w.services.Exist
		w.services.Exist, w.services.Narrow = true, a.Narrow
		w.narrowTo = w.status.Stable.TemplateHash
	case HoldFloor:
		w.scaler.Held, w.scaler.Floor = true, a.Replicas
	case ReleaseFloor:
		w.scaler.Held, w.scaler.Floor = false, 1
	case CreateCanary:
		w.canary = Canary{Exists: true, TemplateHash: w.wanted, Replicas: a.Replicas}
	case ScaleCanary:
		w.canary.Replicas = a.Replicas
	case OpenGate:
		for i := range w.canary.Pods {
			if w.canary.Pods[i].Name == a.Pod {
				w.canary.Pods[i].Open = true
			}
		}
	case SetWeight:
		if w.released && w.services.Behind {
			w.t.Fatalf("the route names a Service of stable that leads nowhere yet\n%s", strings.Join(w.log, "\n"))
		}
		w.weight, w.released = a.Weight, false
	case StopTraffic:
		// Endpoints follow the gates when things happen.
		w.weight = 0
		for i := range w.canary.Pods {
			w.canary.Pods[i].Open = false
		}
	case Unhold:
		w.held, w.unheld = false, true
	case ReturnToStable:
		w.push(w.status.Stable.TemplateHash, w.faults[w.status.Stable.TemplateHash])
	case ReleaseRoute:
		if w.canary.Exists && w.canary.open() == 0 && (w.canary.lingers() || w.services.LeadsToCanary) {
			w.t.Fatalf("the user's Service still leads to the canary that was stopped, and gets the route\n%s", strings.Join(w.log, "\n"))
		}
		w.weight, w.released = 0, true
	case DeleteCanary:
		w.canary.Deleting, w.canary.Pods = true, nil
	case Forget:
		if w.held {
			w.t.Fatalf("the marks are taken off a workload that is held: the policy would hold it again")
		}
		w.labelled, w.unheld = false, false
	case AbandonCanary:
		w.canary = Canary{}
	case LetGo:
		w.gone = true
	default:
		w.t.Fatalf("unknown action %q", a.Do)
	}
}

func describe(a Action) string {
	switch a.Do {
	case SetWeight:
		return fmt.Sprintf("SetWeight(%s)", a.Weight)
	case CreateCanary, ScaleCanary, HoldFloor:
		return fmt.Sprintf("%s(%d)", a.Do, a.Replicas)
	case OpenGate:
		return fmt.Sprintf("OpenGate(%s)", a.Pod)
	case EnsureServices:
		return fmt.Sprintf("EnsureServices(narrow=%t)", a.Narrow)
	}
	return string(a.Do)
}

// happen lets the cluster do one thing by itself.
func (w *world) happen() {
	w.now = w.now.Add(time.Duration(1+w.rng.IntN(4)) * time.Second)
	if w.canary.Deleting {
		w.canary = Canary{}
	}
	if w.canary.Exists && int32(len(w.canary.Pods)) < w.canary.Replicas {
		w.serial++
		w.canary.Pods = append(w.canary.Pods, Pod{Name: fmt.Sprintf("canary-%d", w.serial)})
	}
	if int32(len(w.canary.Pods)) > w.canary.Replicas {
		w.canary.Pods = w.canary.Pods[:w.canary.Replicas]
	}
	w.services.Behind, w.services.LeadsToCanary = false, false
	for i := range w.canary.Pods {
		p := &w.canary.Pods[i]
		w.services.LeadsToCanary = w.services.LeadsToCanary || p.Ready
		p.Unlisted = w.spec.Routed && !p.Ready
		if ready := p.Open && p.ContainersReady; ready != p.Ready {
			p.Ready, p.ReadySince = ready, w.now
		}
		p.ContainersReady = w.faults[w.canary.TemplateHash] != crash
	}
	if !w.held {
		w.roll()
	}
	if !w.calm && len(w.canary.Pods) > 0 && w.rng.IntN(15) == 0 {
		w.canary.Pods = w.canary.Pods[1:]
		w.killed = true
	}
	if !w.calm && w.scaler.Held && w.rng.IntN(25) == 0 {
		w.scaler.Floor = 1
	}
	if !w.calm && w.spec.Routed && w.rng.IntN(25) == 0 {
		w.weight, w.released = 0, true
	}
}

// roll replaces one pod, as the native controller does: the new one first.
func (w *world) roll() {
	for _, hash := range []string{"a", "b", "c"} {
		if hash != w.wanted && w.pods[hash] > 0 {
			w.pods[hash]--
			w.pods[w.wanted]++
			return
		}
	}
}

// run lets n things happen, with a reconcile after each.
func (w *world) run(n int) {
	w.t.Helper()
	for range n {
		w.happen()
		w.reconcile()
		w.serves()
	}
}
