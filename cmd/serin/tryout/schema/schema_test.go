package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/cmd/serin/tryout/schema"
	"github.com/serin-gitops/serin/config/crd"
)

func load(t *testing.T, plural string) *schema.Kind {
	t.Helper()
	kind, err := schema.Load(plural)
	if err != nil {
		t.Fatal(err)
	}
	return kind
}

// rollout is one that an API server takes, with something put in the place of a
// line of it.
func rollout(line, with string) string {
	const text = `apiVersion: serin.dev/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {name: web}
  steps:
    - {weight: 5, duration: 5m}
    - {weight: 50, until: Evidence, duration: 5m}
  analysis:
    checks:
      - {name: errors, ratio: {total: a, bad: b, objective: "0.01"}}
status: {phase: Nonsense}
`
	return strings.Replace(text, line, with, 1)
}

func TestDefaults(t *testing.T) {
	var ro v1alpha1.Rollout
	if err := load(t, "rollouts").Decode(t.Context(), []byte(rollout("", "")), &ro); err != nil {
		t.Fatal(err)
	}
	check := ro.Spec.Analysis.Checks[0]
	if ro.Namespace != "default" || ro.Spec.WorkloadRef.Kind != "Deployment" || ro.Spec.Deadline.Duration != 2*time.Hour ||
		check.Ratio.MinRequests != 20 || check.Weight != 1 || ro.Spec.Steps[1].OnTimeout != "Hold" || ro.Status.Phase != "" {
		t.Errorf("the defaults are not filled in, or the status was not passed over: %+v", ro)
	}
}

func TestRefuses(t *testing.T) {
	tests := map[string]struct {
		line, with string
		want       []string
	}{
		"weight":           {"weight: 50", "weight: 250", []string{"Rollout default/web: ", "spec.steps[1].weight", "250", "less than or equal to 100"}},
		"enumeration":      {"until: Evidence", "until: Evidnce", []string{"spec.steps[1].until", `"Evidnce"`, `"Evidence"`}},
		"unknown field":    {"duration: 5m", "duratin: 5m", []string{"spec.steps[0].duratin: unknown field", "kubectl explain rollout.spec.steps"}},
		"unknown metadata": {"{name: web}", "{name: web, labls: {}}", []string{"metadata.labls: unknown field", "kubectl explain rollout.metadata\""}},
		"unknown top":      {"spec:", "specs: {}\nspec:", []string{"specs: unknown field", "kubectl explain rollout\""}},
		"type":             {"weight: 50", `weight: "50"`, []string{"spec.steps[1].weight", "must be of type integer"}},
		"text of a number": {`"0.01"`, `"NaN"`, []string{"spec.analysis.checks[0].ratio.objective", `"NaN"`, "should match"}},
		"not a number":     {`"0.01"`, `.nan`, []string{"Rollout: line 11: spec.analysis.checks[0].ratio.objective is .nan: give a finite number"}},
		"infinite":         {"weight: 50", `weight: -.inf`, []string{"line 8: spec.steps[1].weight is -.inf"}},
		"missing":          {"  workloadRef: {name: web}\n", "", []string{"spec.workloadRef: Required value"}},
		"rule":             {"bad: b,", "bad: b, good: c,", []string{"spec.analysis.checks[0].ratio", "a ratio check has exactly one of bad and good"}},
		"two of a name":    {"checks:", "checks:\n      - {name: errors, ratio: {total: a, bad: b}}", []string{"spec.analysis.checks[1]: Duplicate value", "errors"}},
		"a key twice":      {"duration: 5m", "duration: 5m, duration: 6m", []string{"duration"}},
		"no name":          {"{name: web}", "{}", []string{"metadata.name: Required value"}},
		"bad name":         {"{name: web}", "{name: Web_}", []string{"metadata.name: Invalid value", "RFC 1123"}},
		"name of a number": {"{name: web}", "{name: 3}", []string{"metadata: ", "string"}},
		"no YAML":          {"spec:", "spec: [", []string{"Rollout: ", "line"}},
	}
	kind := load(t, "rollouts")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := rollout(test.line, test.with)
			if text == rollout("", "") {
				t.Fatalf("%q is no line of it", test.line)
			}
			var ro v1alpha1.Rollout
			err := kind.Decode(t.Context(), []byte(text), &ro)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

// TestTellsAll wants every mistake told at once, not one after the other.
func TestTellsAll(t *testing.T) {
	text := strings.NewReplacer("weight: 5,", "weight: 500,", "until: Evidence", "until: Evidnce", "bad: b", "bda: b").Replace(rollout("", ""))
	var ro v1alpha1.Rollout
	err := load(t, "rollouts").Decode(t.Context(), []byte(text), &ro)
	for _, want := range []string{"500", "Evidnce", "bda"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q too", err, want)
		}
	}
}

// TestReadyMade takes what the project itself gives to API servers.
func TestReadyMade(t *testing.T) {
	kind := load(t, "clusteranalysistemplates")
	files, err := filepath.Glob("../../../../config/templates/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		var template v1alpha1.ClusterAnalysisTemplate
		if err := kind.Decode(t.Context(), text, &template); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if template.Namespace != "" {
			t.Errorf("%s: put into namespace %s; it is for all", file, template.Namespace)
		}
	}
}

// TestLoadsAll reads the definitions of all kinds.
func TestLoadsAll(t *testing.T) {
	entries, err := crd.Files.ReadDir(".")
	if err != nil || len(entries) < 7 {
		t.Fatalf("%d definitions, %v", len(entries), err)
	}
	for _, entry := range entries {
		load(t, strings.TrimSuffix(strings.TrimPrefix(entry.Name(), "serin.dev_"), ".yaml"))
	}
	if _, err := schema.Load("ships"); err == nil || !strings.Contains(err.Error(), "ships") {
		t.Errorf("error %v, want one that names what has no definition", err)
	}
}
