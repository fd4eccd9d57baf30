package rollout

import (
	"testing"
	"time"
)

// TestRefusalIsDecides states that a person is told before asking what Decide
// would say after, where all else that a request needs is given.
func TestRefusalIsDecides(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	for _, verb := range []Verb{Abort, Pause, Resume, Skip, Promote, Retry, "dance"} {
		for _, phase := range []Phase{Healthy, Starting, Progressing, Paused, Finalising, Baking, RollingBack, RolledBack, ""} {
			for _, unfinished := range []string{"", "its deadline came"} {
				b := Revision{TemplateHash: "b"}
				d := decision{now: now, next: Status{Phase: phase, Unfinished: unfinished, StepStarted: now, Canary: b}}
				d.Workload.Held, d.Workload.Wanted = true, b
				refusal := Refusal(verb, phase, unfinished)
				if granted := d.grant(Request{ID: "1", Verb: verb}); granted != (refusal == "") {
					t.Errorf("%s in phase %q, unfinished %q: granted %t, and a person is told %q", verb, phase, unfinished, granted, refusal)
				}
			}
		}
	}
}
