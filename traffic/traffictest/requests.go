package traffictest

import (
	"fmt"
	"math"
	"testing"

	"github.com/serin-gitops/serin/environments"
)

// testShares sends requests at each weight. An API server's acceptance is ahead
// of a data plane that loads its configuration a moment later, so each share is
// waited for; then it has to hold in a second, larger sample.
func testShares(t *testing.T, f Fixture) {
	for _, weight := range []environments.Weight{0, 5, 25, 50, 100, 0} {
		set(t, f, weight)
		settle(t, f, weight)
		eventually(t, func() (bool, string) { return inShare(f.Send(t, 200), weight) })
		if ok, missing := inShare(f.Send(t, 1000), weight); !ok {
			t.Errorf("at %s: %s", weight, missing)
		}
	}
}

// inShare says whether the canary's share is the weight, within five standard
// deviations of a fair draw; at 0 and 100 it is exact.
func inShare(answers map[string]int, weight environments.Weight) (bool, string) {
	total := answers["stable"] + answers["canary"]
	share := float64(weight) / 100
	mean := float64(total) * share
	bound := 5 * math.Sqrt(mean*(1-share))
	got := float64(answers["canary"])
	return total > 0 && math.Abs(got-mean) <= bound,
		fmt.Sprintf("the canary answered %d of %d requests, want %.0f, give or take %.0f", answers["canary"], total, mean, bound)
}

// testMoving walks through a whole trial under load.
func testMoving(t *testing.T, f Fixture) {
	settle(t, f, 0)
	f.Send(t, 50)
	stop := f.Load(t)
	for _, weight := range []environments.Weight{0, 5, 25, 50, 100} {
		set(t, f, weight)
		settle(t, f, weight)
		eventually(t, func() (bool, string) { return inShare(f.Send(t, 200), weight) })
	}
	release(t, f)
	settle(t, f, 0)
	f.Send(t, 200)
	requests, failed := stop()
	if requests == 0 || failed > 0 {
		t.Errorf("%d of %d requests failed while weights moved", failed, requests)
	}
}
