package observe

import (
	"context"
	"fmt"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/counting"
	"github.com/serin-gitops/serin/analysis/usage"
)

// resource is one of those that a resources check bounds.
type resource struct {
	name  string
	bound *usage.Bound
	// measure gives what each pod used in a window.
	measure func(analysis.Window, []analysis.Series) []float64
	to      **usage.Medians
}

func resourcesOf(check analysis.Resources, seen *usage.Seen) []resource {
	var out []resource
	if check.CPU != nil {
		out = append(out, resource{name: "CPU", bound: check.CPU, measure: counting.Rates, to: &seen.CPU})
	}
	if check.Memory != nil {
		out = append(out, resource{name: "memory", bound: check.Memory, measure: counting.Values, to: &seen.Memory})
	}
	return out
}

// usage measures what a pod of either arm uses, with one query for each
// resource where one selector can serve both arms.
func (o Observer) usage(ctx context.Context, check analysis.Check, trial Trial, obs *analysis.Observation) error {
	var seen usage.Seen
	for _, r := range resourcesOf(*check.Resources, &seen) {
		of, err := o.pair(r.bound.Series, nil, trial)
		if err != nil {
			return err
		}
		arms, err := o.fetch(ctx, of, reach(obs.Window.Start), obs.Window.End)
		if err != nil {
			return err
		}
		var medians [2]float64
		for arm := range arms {
			if len(arms[arm]) == 0 {
				return &analysis.Absence{Kind: analysis.NoSeries, Message: fmt.Sprintf("no series of the %s of %s's pods: %s", r.name, armNames[arm], of[arm])}
			}
			if medians[arm], err = r.median(check, obs.Window, arms[arm]); err != nil {
				return fmt.Errorf("%w: %s of %s", err, r.name, armNames[arm])
			}
		}
		*r.to = &usage.Medians{Stable: medians[stable], Canary: medians[canary]}
	}
	obs.Usage = &seen
	return nil
}

// median over an arm's pods. Agents look at pods one by one, so a window that
// may still grow waits until half of the pods in sight were measured.
func (r resource) median(check analysis.Check, w analysis.Window, series []analysis.Series) (float64, error) {
	used := r.measure(w, series)
	if w.End.Sub(w.Start) < joinLimit(check) && 2*len(used) < counting.Pods(w, series) {
		return 0, errNotScraped
	}
	median, ok := usage.Median(used)
	if !ok {
		return 0, errNotScraped
	}
	return median, nil
}
