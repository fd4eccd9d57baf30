package gatewayapi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/traffic"
)

var target = traffic.Target{
	Namespace: "shop", Kind: "HTTPRoute", Route: "web", Service: "web", Stable: "web-stable", Canary: "web-canary", StableReplicas: 4,
}

// parse reads a rule as the API server gives it: whole numbers are int64.
func parse(t *testing.T, text string) rule {
	t.Helper()
	var one rule
	if err := yaml.Unmarshal([]byte(text), &one); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return whole(one).(rule)
}

func whole(value any) any {
	switch v := value.(type) {
	case float64:
		return int64(v)
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for at := range v {
			v[at] = whole(v[at])
		}
	}
	return value
}

const (
	alone = `
backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]
matches: [{path: {type: PathPrefix, value: /}}]
somethingNew: {of: a later Gateway API}
`
	filtered = `
backendRefs:
  - {name: web, port: 80, weight: 3, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: b}]}}]}
`
	shared = `
backendRefs:
  - {name: old, port: 8080, weight: 1}
  - {name: web, port: 80, weight: 3}
  - {name: off, port: 80, weight: 0}
  - {name: web, namespace: elsewhere, port: 80, weight: 2}
  - {group: example.org, kind: Bucket, name: web, weight: 2}
`
	ports = `
backendRefs:
  - {name: web, port: 80, weight: 1}
  - {name: web, port: 81, weight: 2}
`
	another   = `backendRefs: [{name: api, port: 80, weight: 1}]`
	switched  = `backendRefs: [{name: web, port: 80, weight: 0}, {name: api, port: 80, weight: 1}]`
	redirects = `filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]`
)

func TestSetWeight(t *testing.T) {
	tests := []struct {
		name   string
		rule   string
		weight environments.Weight
		want   string
	}{
		{"the Service alone", alone, 5, `
backendRefs:
  - {group: "", kind: Service, name: web-stable, port: 80, weight: 95}
  - {group: "", kind: Service, name: web-canary, port: 80, weight: 5}
matches: [{path: {type: PathPrefix, value: /}}]
somethingNew: {of: a later Gateway API}
`},
		{"weight 0 names the pair too", alone, 0, `
backendRefs:
  - {group: "", kind: Service, name: web-stable, port: 80, weight: 100}
  - {group: "", kind: Service, name: web-canary, port: 80, weight: 0}
matches: [{path: {type: PathPrefix, value: /}}]
somethingNew: {of: a later Gateway API}
`},
		{"filters are those of the Service", filtered, 100, `
backendRefs:
  - {name: web-stable, port: 80, weight: 0, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: b}]}}]}
  - {name: web-canary, port: 80, weight: 300, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: b}]}}]}
`},
		{"other backends keep their share", shared, 25, `
backendRefs:
  - {name: old, port: 8080, weight: 100}
  - {name: web-stable, port: 80, weight: 225}
  - {name: web-canary, port: 80, weight: 75}
  - {name: off, port: 80, weight: 0}
  - {name: web, namespace: elsewhere, port: 80, weight: 200}
  - {group: example.org, kind: Bucket, name: web, weight: 200}
`},
		{"each port has its pair", ports, 50, `
backendRefs:
  - {name: web-stable, port: 80, weight: 50}
  - {name: web-canary, port: 80, weight: 50}
  - {name: web-stable, port: 81, weight: 100}
  - {name: web-canary, port: 81, weight: 100}
`},
		{"a weight left out is 1", `backendRefs: [{name: web, port: 80}, {name: old, port: 80}]`, 10, `
backendRefs:
  - {name: web-stable, port: 80, weight: 90}
  - {name: web-canary, port: 80, weight: 10}
  - {name: old, port: 80, weight: 100}
`},
		{"the pair moves within its own share", `
backendRefs:
  - {name: web-stable, port: 80, weight: 285}
  - {name: web-canary, port: 80, weight: 15}
  - {name: old, port: 80, weight: 100}
`, 50, `
backendRefs:
  - {name: web-stable, port: 80, weight: 150}
  - {name: web-canary, port: 80, weight: 150}
  - {name: old, port: 80, weight: 100}
`},
		{"the pair in another order, and torn apart", `
backendRefs:
  - {name: web-canary, port: 80, weight: 5}
  - {name: old, port: 80, weight: 100}
  - {name: web-stable, port: 80, weight: 95}
`, 20, `
backendRefs:
  - {name: web-stable, port: 80, weight: 80}
  - {name: web-canary, port: 80, weight: 20}
  - {name: old, port: 80, weight: 100}
`},
		{"a canary that was left alone", `backendRefs: [{name: web-canary, port: 80, weight: 100}]`, 0,
			`backendRefs: [{name: web-stable, port: 80, weight: 100}, {name: web-canary, port: 80, weight: 0}]`},
		{"a rule of another Service stays", another, 50, another},
		{"a rule that sends nothing to the Service stays", switched, 50, switched},
		{"a rule without backends stays", redirects, 50, redirects},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := parse(t, test.rule)
			if err := setWeight(got, target, test.weight); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, test.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReleaseGivesBack walks through weights and back: whatever was set, the
// rule is the user's again.
func TestReleaseGivesBack(t *testing.T) {
	for name, text := range map[string]string{
		"alone": alone, "filtered": filtered, "shared": shared, "ports": ports,
		"another": another, "switched": switched, "redirects": redirects,
	} {
		t.Run(name, func(t *testing.T) {
			for last := range environments.Weight(101) {
				got := parse(t, text)
				for _, weight := range []environments.Weight{0, 33, last} {
					if err := setWeight(got, target, weight); err != nil {
						t.Fatal(err)
					}
				}
				if err := release(got, target); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(parse(t, text), got); diff != "" {
					t.Fatalf("after %s (-want +got):\n%s", last, diff)
				}
			}
		})
	}
}

func TestReleaseOfWhatOthersChanged(t *testing.T) {
	tests := []struct{ name, rule, want string }{
		{"a rule at rest stays", shared, shared},
		{"a backend that was added keeps some traffic",
			`backendRefs: [{name: web-stable, port: 80, weight: 95}, {name: web-canary, port: 80, weight: 5}, {name: new, port: 80, weight: 1}]`,
			`backendRefs: [{name: web, port: 80, weight: 1}, {name: new, port: 80, weight: 1}]`},
		{"a pair that was switched off stays off",
			`backendRefs: [{name: web-stable, port: 80, weight: 0}, {name: web-canary, port: 80, weight: 0}, {name: old, port: 80, weight: 100}]`,
			`backendRefs: [{name: web, port: 80, weight: 0}, {name: old, port: 80, weight: 1}]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := parse(t, test.rule)
			if err := release(got, target); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, test.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLook(t *testing.T) {
	at := func(stable, canary string) string {
		return `backendRefs: [{name: web-stable, port: 80, weight: ` + stable + `}, {name: web-canary, port: 80, weight: ` + canary + `}]`
	}
	tests := []struct {
		name  string
		rules []string
		want  sight
	}{
		{"at rest", []string{alone, another}, sight{carried: true, released: true, even: true}},
		{"on trial", []string{at("95", "5"), at("285", "15"), another}, sight{carried: true, weight: 5, even: true}},
		{"all to the canary", []string{at("0", "100")}, sight{carried: true, weight: 100, even: true}},
		{"another Service's", []string{another, redirects, switched}, sight{released: true, even: true}},
		{"rules that differ show the most", []string{at("95", "5"), at("50", "50")}, sight{carried: true, weight: 50}},
		{"one rule was reset", []string{at("50", "50"), alone}, sight{carried: true, weight: 50}},
		{"less than a percent is not nothing", []string{at("999", "1")}, sight{carried: true, weight: 1}},
		{"no rule", nil, sight{released: true, even: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var rules []rule
			for _, text := range test.rules {
				rules = append(rules, parse(t, text))
			}
			got, err := look(rules, target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(sight{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWeightsThatCannotBeMultiplied(t *testing.T) {
	for _, text := range []string{
		`backendRefs: [{name: web, port: 80, weight: 10001}]`,
		`backendRefs: [{name: web, port: 80, weight: 1}, {name: old, port: 80, weight: 1000000}]`,
	} {
		one := parse(t, text)
		err := setWeight(one, target, 0)
		if err == nil || !strings.Contains(err.Error(), "at most 10000") {
			t.Errorf("%s: %v, want the bound named", text, err)
		}
		if diff := cmp.Diff(parse(t, text), one); diff != "" {
			t.Errorf("%s was changed (-want +got):\n%s", text, diff)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, test := range []struct {
		replicas int32
		weight   environments.Weight
		want     int32
	}{{4, 0, 1}, {4, 5, 1}, {4, 25, 1}, {4, 26, 2}, {4, 50, 2}, {4, 100, 4}, {0, 50, 1}, {100, 1, 1}} {
		wanted := target
		wanted.StableReplicas = test.replicas
		got := (*Router)(nil).Plan(wanted, test.weight)
		if diff := cmp.Diff(traffic.Plan{CanaryReplicas: test.want, Reachable: test.weight}, got); diff != "" {
			t.Errorf("%d replicas at %s (-want +got):\n%s", test.replicas, test.weight, diff)
		}
	}
}
