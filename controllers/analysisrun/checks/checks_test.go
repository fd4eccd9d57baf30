package checks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
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
		"resources": {
			v1alpha1.Check{Name: "use", Resources: &v1alpha1.ResourcesCheck{Failures: 2, Samples: 3,
				CPU: &v1alpha1.ResourceBound{Ratio: "1.5", IgnoreBelow: "100m"}, Memory: &v1alpha1.ResourceBound{IgnoreBelow: "64Mi", Series: `rss{job="x"}`}}},
			analysis.Check{Name: "use", Kind: analysis.KindResources, Resources: &analysis.Resources{Failing: 2, Of: 3,
				CPU:    &usage.Bound{Ratio: 1.5, IgnoreBelow: 0.1, Series: `container_cpu_usage_seconds_total{container!=""}`},
				Memory: &usage.Bound{IgnoreBelow: 64 << 20, Series: `rss{job="x"}`}}},
		},
		"webhook": {
			v1alpha1.Check{Name: "gate", Webhook: &v1alpha1.WebhookCheck{URL: "https://gate", Timeout: metav1.Duration{Duration: time.Second}, Failures: 1, Samples: 2}},
			analysis.Check{Name: "gate", Kind: analysis.KindWebhook, Webhook: &analysis.Webhook{URL: "https://gate", Timeout: time.Second, Failing: 1, Of: 2}},
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

func TestRefused(t *testing.T) {
	memory := func(b v1alpha1.ResourceBound) v1alpha1.Check {
		return v1alpha1.Check{Name: "use", Resources: &v1alpha1.ResourcesCheck{Memory: &b}}
	}
	for _, test := range []struct {
		check v1alpha1.Check
		want  string
	}{
		{memory(v1alpha1.ResourceBound{IgnoreBelow: "64 megs"}), `check use: resources.memory.ignoreBelow is "64 megs"; it must be a quantity`},
		{memory(v1alpha1.ResourceBound{IgnoreBelow: "-1Mi"}), `"-1Mi"; it must be a quantity that is not negative`},
		{memory(v1alpha1.ResourceBound{Ratio: "0"}), `resources.memory.ratio is "0"; it must be above 0`},
		{memory(v1alpha1.ResourceBound{Ratio: "${twice}"}), `resources.memory.ratio "${twice}" is no number`},
		{v1alpha1.Check{Name: "errors", Ratio: &v1alpha1.RatioCheck{Total: "a", Bad: "b", Objective: "NaN"}}, `check errors: objective "NaN" is no number`},
		{v1alpha1.Check{Name: "queue", Threshold: &v1alpha1.ThresholdCheck{Query: "q", Max: "+Inf"}}, `check queue: max "+Inf" is no number`},
		{v1alpha1.Check{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80}, Service: true}}, "check health: http.service is true, and only a Rollout with traffic.routeRef"},
	} {
		if _, err := checks.Spec(&v1alpha1.Rollout{}, "0.01", []v1alpha1.Check{test.check}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

// TestIntervals states which kinds are looked at less often than the others.
func TestIntervals(t *testing.T) {
	ro := &v1alpha1.Rollout{}
	ro.Spec.Analysis.Interval.Duration = 5 * time.Second
	own := v1alpha1.Check{Name: "own", Interval: metav1.Duration{Duration: time.Second}, Webhook: &v1alpha1.WebhookCheck{URL: "http://gate"}}
	spec, err := checks.Spec(ro, "0.01", []v1alpha1.Check{
		{Name: "health", HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80}}},
		{Name: "use", Resources: &v1alpha1.ResourcesCheck{CPU: &v1alpha1.ResourceBound{}}}, {Name: "gate", Webhook: own.Webhook}, own,
		{Name: "queue", Threshold: &v1alpha1.ThresholdCheck{Query: "q", Max: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for _, check := range spec.Checks[1:] {
		got = append(got, check.Interval)
	}
	if diff := cmp.Diff([]time.Duration{5 * time.Second, 15 * time.Second, 10 * time.Second, time.Second, 10 * time.Second}, got); diff != "" {
		t.Errorf("intervals (-want +got):\n%s", diff)
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

// TestTyped states which values a parameter of a type takes, and that the value
// of an address, which may hold credentials, is not repeated.
func TestTyped(t *testing.T) {
	const quiet = "the value is no address"
	for _, test := range []struct{ kind, value, err string }{
		{"", "anything {", ""},
		{v1alpha1.TypeString, "", ""},
		{v1alpha1.TypeNumber, "-0.5", ""},
		{v1alpha1.TypeNumber, "", "has to be a number"},
		{v1alpha1.TypeNumber, "1%", `value "1%" is no number`},
		{v1alpha1.TypeNumber, "NaN", "is no number"},
		{v1alpha1.TypeDuration, "1h30m", ""},
		{v1alpha1.TypeDuration, "90", `value "90" is no duration`},
		{v1alpha1.TypeDuration, "", "is no duration"},
		{v1alpha1.TypeURL, "https://gate.example.com/x", ""},
		{v1alpha1.TypeURL, "ftp://u:p@gate", quiet},
		{v1alpha1.TypeURL, "gate.example.org", quiet},
	} {
		value := test.value
		spec := v1alpha1.AnalysisTemplateSpec{Parameters: []v1alpha1.Parameter{{Name: "p", Type: test.kind}}}
		_, err := checks.Fill(spec, []v1alpha1.Argument{{Name: "p", Value: value}})
		switch {
		case test.err == "" && err != nil:
			t.Errorf("%s %q: %v", test.kind, value, err)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), "parameter p: ") || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s %q: got %v, want %q", test.kind, value, err, test.err)
		case test.err == quiet && strings.Contains(err.Error(), value):
			t.Errorf("the error repeats the value: %v", err)
		}
	}
}
