package observe

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// TestReplicasAreCountedOnce asks a source that makes one series of two replicas':
// the windows of all looks sum up to what the counters rose by.
func TestReplicasAreCountedOnce(t *testing.T) {
	source := &replicated{}
	counted, end, _ := looks(t, source, 20, 620, 2.3, func(now float64) { source.now = sec(now) })
	through := end.Sub(sec(0)).Seconds()
	// What either end of the trial may be off by is what passes between two scrapes.
	if off := counted.Total - rate*through; math.Abs(off) > rate*replicaEvery || through < 550 {
		t.Errorf("%g requests were counted in %g s, %+g of those that were served", counted.Total, through, off)
	}
}

// replicated answers as Thanos does where two replicas of a Prometheus scrape the
// same programs, each at a phase of its own: after the start of what is asked for
// it takes the first sample, and stays with the replica that this is of
// (https://github.com/thanos-io/thanos/blob/v0.42.4/pkg/dedup/iter.go).
type replicated struct{ now time.Time }

const (
	replicaEvery = 15
	rate         = 10
)

func (r *replicated) Series(_ context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	var all []analysis.Series
	for _, arm := range []string{"s", "c"} {
		first := []analysis.Series{r.replica(arm, 1.2), r.replica(arm, 9.6)}
		var chosen []analysis.Series
		for _, one := range samplesIn(q, first) {
			if len(chosen) == 0 || one.Samples[0].Time.Before(chosen[0].Samples[0].Time) {
				chosen = []analysis.Series{one}
			}
		}
		all = append(all, chosen...)
	}
	return all, nil
}

// replica is what one of them has scraped of a counter that rises all the time.
func (r *replicated) replica(arm string, phase float64) analysis.Series {
	s := analysis.Series{Labels: map[string]string{"__name__": "x", "arm": arm, "code": "200"}}
	for second := phase - 20*replicaEvery; !sec(second).After(r.now); second += replicaEvery {
		s.Samples = append(s.Samples, analysis.Sample{Time: sec(second), Value: math.Floor(rate * (second + 1000))})
	}
	return s
}

func (r *replicated) Value(context.Context, analysis.ValueQuery) (float64, error) {
	return 0, errors.New("no value is asked for")
}
