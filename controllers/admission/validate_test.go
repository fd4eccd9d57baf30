package admission

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/probe"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

func inspect(t *testing.T) checks.Inspect {
	t.Helper()
	prober, err := probe.New()
	if err != nil {
		t.Fatal(err)
	}
	return func(check analysis.Check, args map[string]string) error {
		return errors.Join(observe.Check(check, observe.Trial{Args: args}), prober.Check(check))
	}
}

func validator(t *testing.T, objects ...client.Object) *Validator {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return &Validator{Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), Inspect: inspect(t)}
}

// rollout is one with checks and templates in YAML.
func rollout(t *testing.T, analysis string) *v1alpha1.Rollout {
	t.Helper()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"}},
	}
	if err := yaml.UnmarshalStrict([]byte(analysis), &ro.Spec.Analysis); err != nil {
		t.Fatal(err)
	}
	return ro
}

func template(t *testing.T, spec string) *v1alpha1.AnalysisTemplate {
	t.Helper()
	made := &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "red"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &made.Spec); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestRollouts(t *testing.T) {
	red := template(t, `
parameters: [{name: label}]
checks:
  - {name: red, ratio: {total: 'requests{handler="x"}', bad: 'requests{handler="x",${label}=~"5.."}'}}`)
	for name, test := range map[string]struct {
		analysis string
		says     []string
		warns    string
	}{
		"right": {`
templates: [{name: red, args: [{name: label, value: code}]}]
checks:
  - {name: errors, ratio: {total: 'requests{service="${serin.service}"}', bad: 'requests{code=~"5..",hash="${serin.canaryHash}"}'}}
  - {name: slow, latency: {histogram: seconds, bound: "0.5"}}
  - {name: queue, threshold: {query: 'max(queue{namespace="${serin.namespace}"})', max: "3"}}
  - {name: health, http: {port: 80, expression: 'status == 200 && json.ok'}}
  - {name: peers, peers: {port: 80, list: 'json.Peers.map(p, p.Peer)'}}`, nil, ""},
		"no selector": {`checks: [{name: errors, ratio: {total: 'sum(requests)', bad: 'requests{code="500"}'}}]`,
			[]string{"Rollout shop/web: check errors: ratio.total:", `"sum(requests)"`, "write a PromQL series selector without functions"}, ""},
		"half a selector": {`checks: [{name: errors, ratio: {total: 'requests{', bad: 'requests{code="500"}'}}]`,
			[]string{"check errors: ratio.total:", "parse error"}, ""},
		"arms":        {`checks: [{name: errors, ratio: {total: requests, bad: bad, arms: {canary: 'pod=', stable: 'pod="b"'}}}]`, []string{"check errors: ratio.total", "parse error"}, ""},
		"a range":     {`checks: [{name: queue, threshold: {query: 'queue[5m]', max: "3"}}]`, []string{"check queue: threshold.query", "gives a matrix", "that gives one number"}, ""},
		"placeholder": {`checks: [{name: queue, threshold: {query: 'max(queue{namespace="${serin.namespce}"})', max: "3"}}]`, []string{"check queue:", "no value for serin.namespce", "known are serin.canaryHash"}, ""},
		"http":        {`checks: [{name: health, http: {port: 80, expression: 'stat == 200'}}]`, []string{"check health:", "undeclared reference to 'stat'", "in CEL over status, headers, body and json"}, ""},
		"peers":       {`checks: [{name: peers, peers: {port: 80, list: 'json.Peers.map(p,'}}]`, []string{"check peers:", "write expressions in CEL over json"}, ""},
		"quantity":    {`checks: [{name: use, resources: {memory: {ratio: "2", ignoreBelow: 64Mib}}}]`, []string{"check use:", "64Mib"}, ""},
		"all of them": {`
checks:
  - {name: errors, ratio: {total: 'a{', bad: 'b'}}
  - {name: queue, threshold: {query: 'sum(', max: "3"}}`, []string{"check errors:", "check queue:"}, ""},
		"two of a name":    {`checks: [{name: a, threshold: {query: x, max: "3"}}, {name: a, threshold: {query: x, max: "3"}}]`, []string{`two checks are named "a"`}, ""},
		"argument missing": {`templates: [{name: red}]`, []string{"parameter label has no default: give it in args"}, ""},
		"argument wrong":   {`templates: [{name: red, args: [{name: label, value: "a b"}]}]`, []string{"check red: ratio.bad or good", "parse error"}, ""},
		"template to come": {`templates: [{name: later}, {kind: ClusterAnalysisTemplate, name: blue}]`, nil, "there is no AnalysisTemplate later yet"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := rollouts{validator(t, red)}.ValidateCreate(t.Context(), rollout(t, test.analysis))
			says(t, err, test.says)
			if test.warns != "" && !strings.Contains(strings.Join(warnings, "\n"), test.warns) {
				t.Errorf("warnings %q, want one with %q", warnings, test.warns)
			}
			if test.warns == "" && len(warnings) > 0 {
				t.Errorf("warnings %q, want none", warnings)
			}
		})
	}
}

func says(t *testing.T, err error, want []string) {
	t.Helper()
	if want == nil && err != nil {
		t.Errorf("refused: %v", err)
	}
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
}

// TestUpdates wants what was taken once not to be in the way of another change.
func TestUpdates(t *testing.T) {
	bad := rollout(t, `checks: [{name: errors, ratio: {total: 'a{', bad: b}}]`)
	other := rollout(t, `{}`)
	other.Name, other.Spec.WorkloadRef.Name = "other", "api"
	v := rollouts{validator(t, bad, other)}
	released := bad.DeepCopy()
	released.Finalizers = nil
	released.Spec.ReadyDeadline.Duration++
	if _, err := v.ValidateUpdate(t.Context(), bad, released); err != nil {
		t.Errorf("another change is refused: %v", err)
	}
	worse := bad.DeepCopy()
	worse.Spec.Analysis.Checks[0].Ratio.Bad = "b{"
	_, err := v.ValidateUpdate(t.Context(), bad, worse)
	says(t, err, []string{"check errors"})
	worse.DeletionTimestamp = &metav1.Time{}
	if _, err := v.ValidateUpdate(t.Context(), bad, worse); err != nil {
		t.Errorf("a Rollout that is deleted is refused: %v", err)
	}
	moved := other.DeepCopy()
	moved.Spec.WorkloadRef.Name = "web"
	_, err = v.ValidateUpdate(t.Context(), other, moved)
	says(t, err, []string{"Rollout shop/other: spec.workloadRef: Deployment web has the Rollout web already: change that one, or delete it first"})
	if _, err := v.ValidateUpdate(t.Context(), moved, other); err != nil {
		t.Errorf("a workload of its own: %v", err)
	}
	second := rollout(t, `{}`)
	second.Name = "second"
	_, err = v.ValidateCreate(t.Context(), second)
	says(t, err, []string{"has the Rollout web already"})
}

func TestTemplates(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		says []string
	}{
		"any value goes": {`
parameters: [{name: metric}, {name: window}, {name: most}, {name: objective}]
checks:
  - {name: a, threshold: {query: 'sum(rate(${metric}{namespace="${serin.namespace}"}[${window}]))', max: '${most}'}}
  - {name: b, ratio: {total: '${metric}', bad: '${metric}{code="500"}', objective: '${objective}'}}`, nil},
		"by its default": {`
parameters: [{name: metric, default: "a{"}]
checks: [{name: a, ratio: {total: '${metric}', bad: b}}]`, []string{"AnalysisTemplate shop/red: check a: ratio.total", "parse error"}},
		"whatever is given": {`
parameters: [{name: metric}]
checks: [{name: a, ratio: {total: 'sum(${metric})', bad: b}}]`, []string{"check a: ratio.total", "tried with standin for metric"}},
		"of its type": {`
parameters: [{name: window, type: Duration}, {name: most, type: Number}, {name: a, type: Number}, {name: b, type: Number}, {name: c, type: Number}]
checks: [{name: a, threshold: {query: 'sum(rate(requests[${window}])) * ${a} * ${b} * ${c}', max: '${most}'}}]`, nil},
		"of a type that does not fit": {`
parameters: [{name: window, type: Number}]
checks: [{name: a, threshold: {query: 'sum(rate(requests[${window}{}]))', max: "1"}}]`, []string{"check a: threshold.query", "tried with 0.5 for window"}},
		"a default of another type": {`
parameters: [{name: most, type: Number, default: 1%}]
checks: [{name: a, threshold: {query: x, max: '${most}'}}]`, []string{`parameter most: value "1%" is no number`}},
		"no such parameter": {`checks: [{name: a, ratio: {total: '${metric}', bad: b}}]`, []string{"check a:", "no value for metric"}},
		"two of a name":     {`checks: [{name: a, threshold: {query: x, max: "3"}}, {name: a, threshold: {query: x, max: "3"}}]`, []string{"check a: another one has this name"}},
	} {
		t.Run(name, func(t *testing.T) {
			made := template(t, test.spec)
			_, err := templates[*v1alpha1.AnalysisTemplate]{validator(t)}.ValidateCreate(t.Context(), made)
			says(t, err, test.says)
			if _, err := (templates[*v1alpha1.AnalysisTemplate]{validator(t)}).ValidateUpdate(t.Context(), made, made); err != nil {
				t.Errorf("an update that changes nothing is refused: %v", err)
			}
		})
	}
}

// TestReadyMadeTemplates wants all of config/templates taken.
func TestReadyMadeTemplates(t *testing.T) {
	const dir = "../../config/templates/"
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, file := range files {
		text, err := os.ReadFile(dir + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		var made v1alpha1.ClusterAnalysisTemplate
		if err := yaml.Unmarshal(text, &made); err != nil || made.Kind != v1alpha1.KindClusterAnalysisTemplate {
			continue
		}
		taken++
		if _, err := (templates[*v1alpha1.ClusterAnalysisTemplate]{validator(t)}).ValidateCreate(context.Background(), &made); err != nil {
			t.Errorf("%s: %v", file.Name(), err)
		}
	}
	if taken < 4 {
		t.Errorf("%d templates are there, want at least 4", taken)
	}
}
