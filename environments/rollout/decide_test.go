package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
)

func routed() Spec {
	s := byPods()
	s.Routed = true
	s.Steps = append([]Step{{Weight: 5, Duration: 6 * time.Second, Replicas: 1}}, s.Steps...)
	return s
}

func byPods() Spec {
	return Spec{
		Workload: "Deployment/app", Drain: 5 * time.Second, Deadline: time.Hour, Interval: 2 * time.Second,
		Steps: []Step{
			{Weight: 20, Duration: 6 * time.Second, Replicas: 1},
			{Weight: 50, Until: UntilEvidence, Duration: 20 * time.Second, Replicas: 4},
		},
	}
}

func baked(s Spec) Spec {
	s.Bake = 10 * time.Second
	return s
}

// TestInterleavings lets crashes of Serin, doubtful verdicts, lost pods, other
// writers, new revisions and people interleave at random; the world's checks
// state what holds at each moment, atEnd what holds when it calms down.
func TestInterleavings(t *testing.T) {
	specs := map[string]Spec{"routed": routed(), "pods": byPods(), "routed and baked": baked(routed()), "pods and baked": baked(byPods())}
	for name, spec := range specs {
		for seed := range uint64(300) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				w := newWorld(t, seed, spec)
				w.scaler = Autoscaler{Exists: seed%2 == 0, Floor: 1}
				for !w.labelled {
					w.run(1)
				}
				faults := []fault{good, crash, errs, late}
				w.push("b", faults[w.rng.IntN(4)])
				w.run(w.rng.IntN(80))
				w.disturb()
				w.run(w.rng.IntN(60))
				w.calm = true
				w.run(150)
				w.atEnd()
			})
		}
	}
}

// disturb is something that a person, or Git, does in the middle of it.
func (w *world) disturb() {
	switch w.rng.IntN(8) {
	case 0:
		w.push("c", good)
	case 1:
		w.push("c", errs)
	case 2:
		w.push("a", good)
	case 3:
		w.ask(Abort)
	case 4:
		w.ask(Promote)
	case 5:
		w.ask(Skip)
	case 6:
		w.ask(Retry)
	}
}

func (w *world) ask(v Verb) {
	w.request = Request{ID: string(v) + "@" + w.now.String(), Verb: v, By: "ann", Reason: "a test"}
}

// atEnd states what is left when nothing happens any more.
func (w *world) atEnd() {
	w.t.Helper()
	type rest struct {
		Phase    Phase
		Pods     map[string]int32
		Canary   Canary
		Weight   environments.Weight
		Asked    environments.Weight
		Released bool
		Narrow   bool
		Held     bool
		Labelled bool
		Floor    bool
	}
	serving := w.wanted
	want := rest{Phase: Healthy, Released: true, Labelled: true}
	if w.failed[w.wanted] && w.status.Failure != "" {
		serving = w.status.Stable.TemplateHash
		want.Phase, want.Held = RolledBack, true
	}
	want.Pods = map[string]int32{serving: w.replicas}
	got := rest{Phase: w.status.Phase, Pods: map[string]int32{}, Canary: w.canary, Weight: w.weight, Asked: w.status.Weight, Released: w.released, Narrow: w.services.Narrow, Held: w.held, Labelled: w.labelled, Floor: w.scaler.Held}
	for hash, n := range w.pods {
		if n > 0 {
			got.Pods[hash] = n
		}
	}
	if _, mixed := got.Pods["b"]; want.Phase == RolledBack && mixed && !w.failed["b"] {
		// Revision c came while the workload rolled from a to b, both good: what
		// ran then still runs.
		want.Pods = got.Pods
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("at rest, with %s wanted and failure %q (-want +got):\n%s\n%s", w.wanted, w.status.Failure, diff, strings.Join(w.log, "\n"))
	}
	if f := w.faults[serving]; f != good && f != late {
		w.t.Errorf("the workload ends on revision %s, which is bad (%s):\n%s", serving, f, strings.Join(w.log, "\n"))
	}
}

// TestSameEndAfterCrashes compares a run without any crash with runs of the
// same story full of them.
func TestSameEndAfterCrashes(t *testing.T) {
	for _, f := range []fault{good, crash, errs} {
		for name, spec := range map[string]Spec{"routed": baked(routed()), "pods": byPods()} {
			ideal := newWorld(t, 1, spec)
			ideal.calm = true
			ideal.run(10)
			ideal.push("b", f)
			ideal.run(200)
			for seed := range uint64(100) {
				w := newWorld(t, seed, spec)
				w.run(10)
				w.push("b", f)
				w.run(100)
				w.calm = true
				w.run(200)
				if w.status.Phase != ideal.status.Phase || w.running() != ideal.running() || w.status.Failure != ideal.status.Failure {
					t.Errorf("%s, %s, seed %d: %s on %s (%q), without crashes %s on %s (%q)", name, f, seed,
						w.status.Phase, w.running(), w.status.Failure, ideal.status.Phase, ideal.running(), ideal.status.Failure)
				}
			}
		}
	}
}

func TestDeletionGivesEverythingBack(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed, routed())
		w.run(10)
		w.push("b", good)
		w.run(w.rng.IntN(80))
		w.deleted = true
		for range 100 {
			if !w.gone {
				w.happen()
				w.reconcile()
				w.serves()
			}
		}
		if !w.gone || w.labelled || w.held || w.canary.Exists && !w.canary.Deleting || !w.released {
			t.Fatalf("seed %d: gone %t, label %t, held %t, canary %+v, released %t", seed, w.gone, w.labelled, w.held, w.canary, w.released)
		}
	}
}

func TestWholeRollouts(t *testing.T) {
	tests := map[string]struct {
		spec  Spec
		fault fault
		want  string
	}{
		"a good revision by a route": {routed(), good, `
EnsureServices(narrow=false) the route's Services have to be there before a trial
Label so that new revisions of it are held
event: TrialStarted: app:b is held, its canary starts (trial 1)
EnsureServices(narrow=true) the route needs a Service for each arm
CreateCanary(1) a new revision is held
SetWeight(0%) the route names stable and canary before a canary pod is admitted
OpenGate(canary-1) pod canary-1 is admitted, 1 of 1
SetWeight(5%) the weight goes to 5%
event: StepReached: step 1/3: the canary serves 5% with 1 pods
event: StepAdvanced: step 2/3: from 5% to 20%, because all is well
SetWeight(20%) the weight goes to 20%
event: StepReached: step 2/3: the canary serves 20% with 1 pods
event: StepAdvanced: step 3/3: from 20% to 50%, because all is well
ScaleCanary(4) step 3/3 at 50% needs them
OpenGate(canary-2) pod canary-2 is admitted, 2 of 4
OpenGate(canary-3) pod canary-3 is admitted, 3 of 4
OpenGate(canary-4) pod canary-4 is admitted, 4 of 4
SetWeight(50%) the weight goes to 50%
event: StepReached: step 3/3: the canary serves 50% with 4 pods
event: Finalising: passed all steps: Deployment/app rolls itself to app:b
EnsureServices(narrow=false) pods of both revisions belong to stable from now on
Unhold its canary passed
ReleaseRoute the trial is over
StopTraffic the trial is over
DeleteCanary the trial is over
event: Succeeded: Deployment/app runs app:b
Label so that new revisions of it are held`},
		"errors under traffic": {byPods(), errs, `
Label so that new revisions of it are held
event: TrialStarted: app:b is held, its canary starts (trial 1)
CreateCanary(1) a new revision is held
OpenGate(canary-1) pod canary-1 is admitted, 1 of 1
event: Failed: revision b is bad: weight 0, app:a serves
StopTraffic revision b is bad
DeleteCanary the trial is over
event: RolledBack: the canary is removed, app:a serves. It failed because revision b is bad`},
		"bad only once it bakes": {baked(byPods()), late, `
Label so that new revisions of it are held
event: TrialStarted: app:b is held, its canary starts (trial 1)
CreateCanary(1) a new revision is held
OpenGate(canary-1) pod canary-1 is admitted, 1 of 1
event: StepReached: step 1/2: the canary serves 20% with 1 pods
event: StepAdvanced: step 2/2: from 20% to 50%, because all is well
ScaleCanary(4) step 2/2 at 50% needs them
OpenGate(canary-2) pod canary-2 is admitted, 2 of 4
OpenGate(canary-3) pod canary-3 is admitted, 3 of 4
OpenGate(canary-4) pod canary-4 is admitted, 4 of 4
event: StepReached: step 2/2: the canary serves 50% with 4 pods
event: Finalising: passed all steps: Deployment/app rolls itself to app:b
Unhold its canary passed
event: Failed: revision b is bad: weight 0, app:a serves
StopTraffic revision b is bad
ReturnToStable the new revision failed
Unhold it returns to the revision before
DeleteCanary the trial is over
event: RolledBack: the canary is removed, app:a serves. It failed because revision b is bad
Label so that new revisions of it are held
event: Returned: Deployment/app runs app:a again`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, test.spec)
			w.calm = true
			w.run(10)
			w.push("b", test.fault)
			w.run(120)
			if diff := cmp.Diff(strings.TrimSpace(test.want), strings.Join(w.log, "\n")); diff != "" {
				t.Errorf("the log (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVerdictOfWhatServes: a verdict is kept while the revision that it judged
// is held, and once it passed; stable, which no trial judged anew, has none.
func TestVerdictOfWhatServes(t *testing.T) {
	w := newWorld(t, 1, byPods())
	w.calm = true
	w.run(10)
	expect := func(what string, phase Phase, verdict Outcome, evidence bool) {
		t.Helper()
		if w.status.Phase != phase || w.status.Verdict != verdict || (len(w.status.Evidence) > 0) != evidence {
			t.Errorf("%s: phase %s, verdict %q, evidence %q; want phase %s, verdict %q, evidence: %t",
				what, w.status.Phase, w.status.Verdict, w.status.Evidence, phase, verdict, evidence)
		}
	}
	expect("before any trial", Healthy, "", false)
	w.push("b", errs)
	w.run(60)
	expect("rejected and held", RolledBack, Fail, true)
	w.push("a", good)
	w.run(30)
	expect("back to stable", Healthy, "", false)
	w.push("c", good)
	w.run(4)
	w.push("a", good)
	w.run(60)
	expect("withdrawn", Healthy, "", false)
	w.push("c", good)
	w.run(120)
	expect("passed", Healthy, Pass, true)
}

func TestNameOf(t *testing.T) {
	pinned := "registry.local:5000/ipfs-kit:v1.1.0@sha256:00c6b3add55a" + strings.Repeat("0", 52)
	for _, c := range []struct {
		revision Revision
		want     string
	}{
		{Revision{TemplateHash: "abc"}, "revision abc"},
		{Revision{Images: []string{pinned}}, "ipfs-kit:v1.1.0@00c6b3add55a"},
		{Revision{Images: []string{pinned, "proxy:1", "log:2"}}, "ipfs-kit:v1.1.0@00c6b3add55a and 2 more"},
		{Revision{Images: []string{"web@broken"}}, "web@broken"},
	} {
		if got := nameOf(c.revision); got != c.want {
			t.Errorf("nameOf(%+v) = %q, want %q", c.revision, got, c.want)
		}
	}
}
