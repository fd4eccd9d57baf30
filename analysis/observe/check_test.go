package observe

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
)

var trial = Trial{Arms: analysis.Arms{Stable: `pod=~"web-a-.*"`, Canary: `pod=~"web-b-.*"`}, Args: map[string]string{"ns": "prod"}}

func TestCheck(t *testing.T) {
	ratio := func(total, bad string) analysis.Check {
		return analysis.Check{Name: "c", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: total, Bad: bad}}
	}
	threshold := func(query string) analysis.Check {
		return analysis.Check{Name: "c", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: query}}
	}
	for _, tc := range []struct {
		check analysis.Check
		err   string
	}{
		{ratio(`http_requests_total{namespace="${ns}"}`, `http_requests_total{code=~"5.."}`), ""},
		{ratio(`http_requests_total{`, `x`), "ratio.total: BadQuery"},
		{ratio(`http_requests_total`, `x{code=~"(("}`), "ratio.bad or good: BadQuery"},
		{ratio(`rate(http_requests_total[1m])`, `x`), "ratio.total: BadQuery"},
		{ratio(`http_requests_total{namespace="${namespace}"}`, `x`), "no value for namespace"},
		{analysis.Check{Latency: &analysis.Latency{Histogram: `{job="x"}`, Bound: 1}}, "has no metric name"},
		{analysis.Check{Latency: &analysis.Latency{Histogram: `http_seconds{job="x"}`, Bound: 1}}, ""},
		{analysis.Check{Latency: &analysis.Latency{Histogram: `http_seconds{job="x"}`, Bound: 1, Native: true}}, ""},
		{analysis.Check{Latency: &analysis.Latency{Histogram: `{job="x"}`, Bound: 1, Native: true}}, "has no metric name"},
		{analysis.Check{Latency: &analysis.Latency{Histogram: `http_seconds_bucket`, Bound: 1, Native: true}}, "without _bucket"},
		{threshold(`sum(rate(x{namespace="${ns}"}[1m]))`), ""},
		{threshold(`sum(rate(x[1m])`), "threshold.query"},
		{threshold(`x[5m]`), "must give one number"},
	} {
		err := Check(tc.check, trial)
		var absence *analysis.Absence
		if (err == nil) != (tc.err == "") || err != nil && (!strings.Contains(err.Error(), tc.err) || !errors.As(err, &absence) || absence.Kind != analysis.BadQuery) {
			t.Errorf("%+v: got %v, want a BadQuery with %q", tc.check, err, tc.err)
		}
	}
}

// TestOneQueryServesBoth wants failed requests picked out of all requests
// exactly where they are among them.
func TestOneQueryServesBoth(t *testing.T) {
	for _, tc := range []struct {
		whole, part string
		want        bool
	}{
		{`r`, `r{code=~"5.."}`, true},
		{`r{job="a"}`, `r{code=~"5..", job="a"}`, true},
		{`r{job="a"}`, `r{code=~"5.."}`, false},
		{`r`, `e`, false},
		{`r{code!="499"}`, `r{code=~"5.."}`, false},
	} {
		whole, err := Observer{}.selector(tc.whole, nil, trial, canary)
		if err != nil {
			t.Fatal(err)
		}
		part, err := Observer{}.selector(tc.part, nil, trial, canary)
		if err != nil {
			t.Fatal(err)
		}
		if got := part.narrows(whole); got != tc.want {
			t.Errorf("%s within %s: %v, want %v", tc.part, tc.whole, got, tc.want)
		}
	}
	part, err := Observer{}.selector(`r{code=~"5.."}`, nil, trial, canary)
	if err != nil {
		t.Fatal(err)
	}
	series := func(pod, code string) analysis.Series {
		return analysis.Series{Labels: map[string]string{"__name__": "r", "pod": pod, "code": code}}
	}
	all := []analysis.Series{series("web-b-1", "200"), series("web-b-1", "503"), series("web-a-1", "500")}
	if diff := cmp.Diff(all[1:2], part.filter(all)); diff != "" {
		t.Errorf("the failed requests of the canary (-want +got):\n%s", diff)
	}
	if want := `{__name__="r",code=~"5..",pod=~"web-b-.*"}`; part.String() != want {
		t.Errorf("selector is %s, want %s", part, want)
	}
}
