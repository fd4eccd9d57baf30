package analysis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
)

func resourcesSpec() analysis.Spec {
	return analysis.Spec{Checks: []analysis.Check{{Name: "memory", Kind: analysis.KindResources, Interval: step,
		Resources: &analysis.Resources{Memory: &usage.Bound{Series: "m"}}}}}
}

func used(k int, canary, stable float64) analysis.Observation {
	return analysis.Observation{Check: "memory", Window: window(k), Usage: &usage.Seen{Memory: &usage.Medians{Canary: canary, Stable: stable}}}
}

func TestResources(t *testing.T) {
	absence := func(k int, kind analysis.AbsenceKind) analysis.Observation {
		return analysis.Observation{Check: "memory", Window: window(k), Absence: &analysis.Absence{Kind: kind, Message: "test"}}
	}
	const mib = 1 << 20
	bad, good := func(k int) analysis.Observation { return used(k, 412*mib, 180*mib) }, func(k int) analysis.Observation { return used(k, 180*mib, 180*mib) }
	for _, tc := range []struct {
		name    string
		looks   []analysis.Observation
		outcome analysis.Outcome
		reason  analysis.Reason
		text    string
	}{
		{"as much as stable", repeat(3, good), analysis.Pass, analysis.ReasonHealthy, "memory 180 MiB a pod, stable 180 MiB (1 times, at most 2)"},
		{"one sample", repeat(1, bad), analysis.Inconclusive, analysis.ReasonProbesFailing, "1 of the last 1 looks failed, 3 fail the check"},
		{"three samples", repeat(3, bad), analysis.Fail, analysis.ReasonOverStable, "memory 412 MiB a pod, stable 180 MiB (2.3 times, at most 2)"},
		{"no series of stable, as while it bakes", append(repeat(2, bad), absence(2, analysis.NoSeries), absence(3, analysis.NoSeries)), analysis.Inconclusive, analysis.ReasonNoSeries, "waits for the first samples"},
		{"not measured", []analysis.Observation{{Check: "memory", Window: window(0), Usage: &usage.Seen{}}}, analysis.Inconclusive, analysis.ReasonNoData, "was not measured"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, v := run(resourcesSpec(), tc.looks...)
			if v.Outcome != tc.outcome || v.Reason != tc.reason || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", v.Outcome, v.Reason, v.Message, tc.outcome, tc.reason, tc.text)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	at := func(k int) analysis.Window { return analysis.Window{Start: window(k).End, End: window(k).End} }
	answer := func(pass bool) func(int) analysis.Observation {
		return func(k int) analysis.Observation {
			return analysis.Observation{Check: "gate", Window: at(k), Answer: &analysis.Answer{Pass: pass, Status: 200, Message: "p99 is 80 ms"}}
		}
	}
	absence := func(kind analysis.AbsenceKind) func(int) analysis.Observation {
		return func(k int) analysis.Observation {
			return analysis.Observation{Check: "gate", Window: at(k), Absence: &analysis.Absence{Kind: kind, Message: "load test runs"}}
		}
	}
	for _, tc := range []struct {
		name    string
		hook    analysis.Webhook
		noData  bool
		looks   []analysis.Observation
		outcome analysis.Outcome
		reason  analysis.Reason
		freeze  bool
		text    string
	}{
		{name: "passes", looks: repeat(1, answer(true)), outcome: analysis.Pass, reason: analysis.ReasonHealthy, text: "the gate says: p99 is 80 ms"},
		{name: "fails at once", looks: repeat(1, answer(false)), outcome: analysis.Fail, reason: analysis.ReasonGateFailed, text: "p99 is 80 ms"},
		{name: "fails twice of three", hook: analysis.Webhook{Failing: 3, Of: 4}, looks: repeat(2, answer(false)), outcome: analysis.Inconclusive, reason: analysis.ReasonProbesFailing},
		{name: "waits", looks: repeat(300, absence(analysis.Pending)), outcome: analysis.Inconclusive, reason: analysis.ReasonGatePending, text: "load test runs"},
		{name: "waits whatever no data means", noData: true, looks: repeat(3, absence(analysis.Pending)), outcome: analysis.Inconclusive, reason: analysis.ReasonGatePending},
		{name: "is away", looks: repeat(300, absence(analysis.Outage)), outcome: analysis.Inconclusive, reason: analysis.ReasonSourceOutage, freeze: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.hook.URL = "http://gate"
			_, v := run(analysis.Spec{SourceLimit: time.Hour, Checks: []analysis.Check{{Name: "gate", Kind: analysis.KindWebhook, NoDataPasses: tc.noData, Webhook: &tc.hook}}}, tc.looks...)
			if v.Outcome != tc.outcome || v.Reason != tc.reason || v.Freeze != tc.freeze || !strings.Contains(v.Message, tc.text) {
				t.Errorf("got %s %s %q; want %s %s with %q", v.Outcome, v.Reason, v.Message, tc.outcome, tc.reason, tc.text)
			}
		})
	}
}
