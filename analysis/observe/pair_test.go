package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
)

func TestOneQueryServesBothArms(t *testing.T) {
	tests := map[string]struct {
		arms analysis.Arms
		want string
	}{
		"patterns":         {analysis.Arms{Stable: `ns="a",pod=~"web-1|web-2"`, Canary: `ns="a",pod=~"web-3"`}, `{__name__="requests",ns="a",pod=~"(?:web-1|web-2)|(?:web-3)"}`},
		"values":           {analysis.Arms{Stable: `rev="v1.0"`, Canary: `rev="v1.1"`}, `{__name__="requests",rev=~"v1\\.0|v1\\.1"}`},
		"a negation":       {analysis.Arms{Stable: `rev!="v1"`, Canary: `rev="v1"`}, ""},
		"different labels": {analysis.Arms{Stable: `rev="v1"`, Canary: `canary="yes"`}, ""},
		"two labels":       {analysis.Arms{Stable: `a="1",b="1"`, Canary: `a="2",b="2"`}, ""},
		"the same":         {analysis.Arms{Stable: `a="1"`, Canary: `a="1"`}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := Observer{}.pair("requests", &test.arms, Trial{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if both, ok := p.joined(); ok {
				got = both.String()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A metric of failures beside one of all requests is asked for together with it.
func TestOneQueryServesBothMetrics(t *testing.T) {
	arms := &analysis.Arms{Stable: `pod=~"a-.+"`, Canary: `pod=~"b-.+"`}
	for _, tc := range []struct{ total, part, want string }{
		{"requests_total", "failures_total", `{__name__=~"requests_total|failures_total",pod=~"(?:a-.+)|(?:b-.+)"}`},
		{`requests_total{code=~".."}`, `requests_total{code="ok"}`, `{__name__="requests_total",code=~"(?:..)|ok",pod=~"(?:a-.+)|(?:b-.+)"}`},
		{`requests_total{kind="a"}`, "failures_total", ""},
	} {
		whole, err := Observer{}.pair(tc.total, arms, Trial{})
		if err != nil {
			t.Fatal(err)
		}
		narrow, err := Observer{}.pair(tc.part, arms, Trial{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if all, ok := both(whole, narrow); ok {
			got = all.String()
		}
		if got != tc.want {
			t.Errorf("%s and %s: asked as %q, want %q", tc.total, tc.part, got, tc.want)
		}
	}
}

// What is fetched for both arms is told apart again, also where one arm's
// pattern matches more than its own pods.
func TestArmsAreToldApart(t *testing.T) {
	p, err := Observer{}.pair("requests", &analysis.Arms{Stable: `pod=~"web-a-.*"`, Canary: `pod=~"(?i)WEB-B-.*"`}, Trial{})
	if err != nil {
		t.Fatal(err)
	}
	var series []analysis.Series
	for _, pod := range []string{"web-a-1", "web-b-1", "WEB-A-1"} {
		series = append(series, analysis.Series{Labels: map[string]string{"__name__": "requests", "pod": pod}})
	}
	var got [2][]string
	for arm := range got {
		for _, s := range p[arm].filter(series) {
			got[arm] = append(got[arm], s.Labels["pod"])
		}
	}
	if diff := cmp.Diff([2][]string{{"web-a-1"}, {"web-b-1"}}, got); diff != "" {
		t.Error(diff)
	}
}
