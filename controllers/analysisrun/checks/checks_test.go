package checks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

func TestOf(t *testing.T) {
	low, high := -1.0, 0.5
	tests := map[string]struct {
		check v1alpha1.Check
		want  analysis.Check
	}{
		"ratio": {
			v1alpha1.Check{Name: "errors", DryRun: true, InitialDelay: metav1.Duration{Duration: time.Minute}, Ratio: &v1alpha1.RatioCheck{
				Total: "a", Bad: "b", Objective: "0.01", Tolerated: "1.5", Arms: &v1alpha1.Arms{Canary: "c", Stable: "s"}}},
			analysis.Check{Name: "errors", Kind: analysis.KindRatio, DryRun: true, InitialDelay: time.Minute, Ratio: &analysis.Ratio{
				Comparison: analysis.Comparison{Tolerance: 1.5, Objective: 0.01, Arms: &analysis.Arms{Canary: "c", Stable: "s"}}, Total: "a", Bad: "b"}},
		},
		"latency": {
			v1alpha1.Check{Name: "slow", Latency: &v1alpha1.LatencyCheck{Histogram: "h", Bound: "0.25"}},
			analysis.Check{Name: "slow", Kind: analysis.KindLatency, Latency: &analysis.Latency{Histogram: "h", Bound: 0.25}},
		},
		"threshold": {
			v1alpha1.Check{Name: "memory", Threshold: &v1alpha1.ThresholdCheck{Query: "q", Min: "-1", Max: "0.5", Failures: 2, Samples: 4}},
			analysis.Check{Name: "memory", Kind: analysis.KindThreshold, Threshold: &analysis.Threshold{Query: "q", Min: &low, Max: &high, Failing: 2, Of: 4}},
		},
		"http": {
			v1alpha1.Check{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "/x", Failures: 1, Samples: 2}, Expression: "status == 200"}},
			analysis.Check{Name: "health", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: 80, Path: "/x", Expression: "status == 200", Failing: 1, Of: 2}},
		},
		"peers": {
			v1alpha1.Check{Name: "peers", Peers: &v1alpha1.PeersCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "/p"}, List: "json.l", Min: 2, SharePercent: 50,
				Identity: "json.id", Mutual: true, Including: &metav1.LabelSelector{}}},
			analysis.Check{Name: "peers", Kind: analysis.KindPeers, Peers: &analysis.Peers{Port: 80, Path: "/p", List: "json.l", Min: 2, MinShareOfStable: 0.5,
				Self: &analysis.Identity{Path: "/p", Expression: "json.id"}, MustInclude: analysis.IncludeAny, SeenFromOtherSide: true}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := checks.Of(test.check)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := checks.Of(v1alpha1.Check{Name: "nothing"}); err == nil {
		t.Error("a check without a kind is taken")
	}
}

func TestFill(t *testing.T) {
	handler := "work"
	spec := v1alpha1.AnalysisTemplateSpec{
		Parameters: []v1alpha1.Parameter{{Name: "handler", Default: &handler}, {Name: "bound"}},
		Checks: []v1alpha1.Check{{Name: "errors", Ratio: &v1alpha1.RatioCheck{
			Total: `requests{handler="${handler}",namespace="${serin.namespace}"}`, Bad: "b", Objective: "${bound}"}}},
	}
	tests := map[string]struct {
		args  []v1alpha1.Argument
		total string
		err   string
	}{
		"with its defaults": {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}}, `requests{handler="work",namespace="${serin.namespace}"}`, ""},
		"with a quote":      {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}, {Name: "handler", Value: `a\"b`}}, `requests{handler="a\"b",namespace="${serin.namespace}"}`, ""},
		"nothing for bound": {nil, "", "parameter bound has no default"},
		"unknown":           {[]v1alpha1.Argument{{Name: "bound", Value: "0.1"}, {Name: "other", Value: "1"}}, "", "no parameter other"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := checks.Fill(spec, test.args)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Ratio.Total != test.total || got[0].Ratio.Objective != "0.1" {
				t.Errorf("total %s, objective %s", got[0].Ratio.Total, got[0].Ratio.Objective)
			}
		})
	}
}
