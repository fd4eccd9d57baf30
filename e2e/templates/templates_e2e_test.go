//go:build e2e

package templates

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

// bound, in seconds, is one of the buckets of Traefik in the sandbox and of the
// semantic conventions; slow requests take longer, and no other does, unless the
// machine is so slow that the client sees it too.
const (
	bound = 2.5
	slow  = "3s"
)

// TestE2ETemplates sends requests whose outcome is known through Traefik to the two
// Services of a trial, and wants the shipped templates to count them exactly: at
// the gateway and in the pods.
func TestE2ETemplates(t *testing.T) {
	w := newWorld(t)
	warm := w.send(t, 40, func(int) string { return "/buy" })
	if warm[0].total == 0 || warm[1].total == 0 {
		t.Fatalf("one Service got no request: %+v", warm)
	}
	source, err := prometheus.New(prometheus.Options{URL: w.cluster.PrometheusURL})
	if err != nil {
		t.Fatal(err)
	}
	args := map[string]string{
		"serin.namespace": w.namespace, "serin.workload": "web", "serin.stableService": "web-stable", "serin.canaryService": "web-canary",
	}
	// The pods as the names of their ReplicaSets tell them apart.
	trial := observe.Trial{Args: args, Arms: analysis.Arms{
		Stable: fmt.Sprintf(`namespace=%q,pod=~"web-[^-]+-[^-]+"`, w.namespace), Canary: fmt.Sprintf(`namespace=%q,pod=~"web-canary-.+"`, w.namespace)}}
	all := append(shipped(t, "traefik"), shipped(t, "opentelemetry-http")...)
	observer := observe.Observer{Source: source}
	began := settled(t, observer, trial, all, time.Now())
	sent := w.send(t, 200, outcome)
	for _, check := range all {
		t.Run(check.Name, func(t *testing.T) { counted(t, observer, check, trial, began, sent) })
	}
}

// outcome of the i-th request: one in five fails, one in ten is slow.
func outcome(i int) string {
	switch {
	case i%5 == 0:
		return "/buy?code=503"
	case i%10 == 3:
		return "/buy?delay=" + slow
	}
	return "/buy"
}

// shipped are the checks of a template of config/templates.
func shipped(t *testing.T, name string) []analysis.Check {
	t.Helper()
	text, err := os.ReadFile("../../config/templates/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template v1alpha1.ClusterAnalysisTemplate
	if err := yaml.UnmarshalStrict(text, &template); err != nil {
		t.Fatal(err)
	}
	filled, err := checks.Fill(template.Spec, []v1alpha1.Argument{{Name: "bound", Value: strconv.FormatFloat(bound, 'g', -1, 64)}})
	if err != nil {
		t.Fatal(err)
	}
	var all []analysis.Check
	for _, one := range filled {
		check, err := checks.Of(one)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, check)
	}
	return all
}

// settled waits until everything that happened before an instant was scraped, and
// gives the instant from which on nothing is yet counted.
func settled(t *testing.T, observer observe.Observer, trial observe.Trial, all []analysis.Check, at time.Time) time.Time {
	t.Helper()
	// Counters are updated a little after the client has its answer.
	at = at.Add(time.Second)
	var now time.Time
	eventually(t, "both arms are scraped", func() error {
		now = time.Now()
		for _, check := range all {
			// A window that begins late enough has samples of later scrapes only.
			if seen := observer.Window(t.Context(), check, trial, analysis.Window{Start: at, End: now}); seen.Absence != nil {
				return fmt.Errorf("%s: %w", check.Name, seen.Absence)
			}
		}
		return nil
	})
	return now
}

// counted waits until a check has counted what was sent.
func counted(t *testing.T, observer observe.Observer, check analysis.Check, trial observe.Trial, began time.Time, sent [2]arm) {
	eventually(t, "what was sent is counted", func() error {
		seen := observer.Window(t.Context(), check, trial, analysis.Window{Start: began, End: time.Now()})
		if seen.Absence != nil {
			return seen.Absence
		}
		for i, got := range []analysis.Counts{*seen.Stable, *seen.Canary} {
			want := sent[i]
			least, most := want.failed, want.failed
			if check.Kind == analysis.KindLatency {
				least, most = want.slow, want.late
			}
			if got.Total != want.total || got.Failed < least || got.Failed > most {
				return fmt.Errorf("arm %d of %s: %g of %g, want %g to %g of %g", i, check.Name, got.Failed, got.Total, least, most, want.total)
			}
		}
		return nil
	})
}

// patience with a loaded machine.
const patience = 2 * time.Minute

// eventually waits for a condition that says what is missing.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		case <-ticker.C:
		}
	}
}
