package tryout

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares output with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), written anew by go test ./cmd/serin/tryout -update:\n%s", file, diff)
	}
}

// noCluster is for commands that read files only.
type noCluster struct{}

// Flags implements Cluster.
func (noCluster) Flags(*cobra.Command) {}

// Open implements Cluster.
func (noCluster) Open() (client.Client, string, error) {
	return nil, "", errors.New("there is no cluster")
}

// serin runs a command line and gives what it printed on the standard output.
func serin(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "serin", SilenceUsage: true, SilenceErrors: true}
	cmd.AddGroup(&cobra.Group{ID: "analysis"})
	cmd.AddCommand(Commands(func() Cluster { return noCluster{} })...)
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(t.Output())
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestSerialSimulate(t *testing.T) {
	for _, scenario := range []string{"independent", "bursts", "incidents", "growing-incidents", "ramp", "diurnal", "low-traffic", "cold-cache", "late"} {
		t.Run(scenario, func(t *testing.T) {
			out, err := serin(t, "simulate", "-f", "testdata/rollout.yaml", "--template", "testdata/template.yaml",
				"--scenario", scenario, "--runs", "5", "--scrape-interval", "10s", "--seed", "7")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "simulate-"+scenario+".txt", out)
		})
	}
}

// TestClusterTemplate takes the check of a ClusterAnalysisTemplate, which an
// AnalysisTemplate of its name is not.
func TestClusterTemplate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollout.yaml")
	const text = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  workloadRef: {kind: Deployment, name: web}\n" +
		"  analysis: {templates: [{kind: ClusterAnalysisTemplate, name: %s}]}\n"
	write(t, file, fmt.Sprintf(text, "shared"))
	out, err := serin(t, "simulate", "-f", file, "--template", "testdata/cluster-template.yaml", "--runs", "1")
	if err != nil || !strings.Contains(out, "check shared-errors") {
		t.Errorf("%v; want the check shared-errors tried:\n%s", err, out)
	}
	write(t, file, fmt.Sprintf(text, "red"))
	if _, err := serin(t, "simulate", "-f", file, "--template", "testdata/template.yaml"); err == nil || !strings.Contains(err.Error(), "ClusterAnalysisTemplate red: it is in none") {
		t.Errorf("error %v, want one that names the missing ClusterAnalysisTemplate", err)
	}
}

func TestSimulateRefuses(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "rollout.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const kind = "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  workloadRef: {kind: Deployment, name: web}\n"
	const template = "apiVersion: serin.dev/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: red}\nspec: {parameters: []}\n"
	ratio := func(total string) string {
		return write(kind + "  analysis: {checks: [{name: errors, ratio: {total: '" + total + "', bad: b}}]}\n")
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no template":     {[]string{"-f", "testdata/rollout.yaml"}, "AnalysisTemplate shop/red: it is in none of the files"},
		"no Rollout":      {[]string{"-f", "testdata/template.yaml"}, "holds 0 Rollouts"},
		"no file":         {[]string{"-f", "testdata/gone.yaml"}, "gone.yaml"},
		"nothing to try":  {[]string{"-f", write(kind)}, "no ratio and no latency check"},
		"unknown field":   {[]string{"-f", write(kind + "  weights: 3\n")}, "weights"},
		"bad weight":      {[]string{"-f", write(kind + "  steps: [{weight: 250, duration: 1m}]\n")}, "rollout.yaml: document 1: Rollout default/web: spec.steps[0].weight: Invalid value: 250"},
		"bad template":    {[]string{"-f", "testdata/rollout.yaml", "--template", write(template)}, "AnalysisTemplate default/red: spec.checks: Required value"},
		"cluster-wide":    {[]string{"-f", "testdata/rollout.yaml", "--template", write(strings.Replace(template, "kind: ", "kind: Cluster", 1))}, "document 1: ClusterAnalysisTemplate red: spec.checks: Required value"},
		"bad query":       {[]string{"-f", ratio("a{")}, "check errors: ratio.total"},
		"bad placeholder": {[]string{"-f", ratio(`a{b="${gone}"}`)}, "no value for gone"},
		"unknown check":   {[]string{"-f", ratio("a"), "--check", "other"}, `no ratio or latency check "other"; it has errors`},
		"scenario":        {[]string{"-f", ratio("a"), "--scenario", "storm"}, `--scenario "storm" is unknown; use one of independent`},
		"runs":            {[]string{"-f", ratio("a"), "--runs", "0"}, "--runs is 0"},
		"share":           {[]string{"-f", ratio("a"), "--canary-failures", "5"}, "--canary-failures has 5"},
		"no number":       {[]string{"-f", ratio("a"), "--stable-failures", "NaN"}, "--stable-failures has NaN"},
		"no rate":         {[]string{"-f", ratio("a"), "--requests-per-second", "NaN"}, "--requests-per-second is NaN"},
		"endless":         {[]string{"-f", ratio("a"), "--requests-per-second", "1e6"}, "below 1e+06"},
		"plain success":   {[]string{"-f", ratio("a"), "--plain-success", "Inf"}, "--plain-success has +Inf"},
		"plain failures":  {[]string{"-f", ratio("a"), "--plain-failures", "-1"}, "--plain-failures has -1"},
		"plain step":      {[]string{"-f", ratio("a"), "--plain-step", "-1s"}, "--plain-step is -1s"},
		"scrapes":         {[]string{"-f", ratio("a"), "--scrape-interval", "10ms"}, "--scrape-interval is 10ms; it must be 0, or between 1s and 5m"},
		"load":            {[]string{"-f", ratio("a"), "--requests-per-second", "0"}, "--requests-per-second is 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := serin(t, append([]string{"simulate"}, test.args...)...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q; printed %s", err, test.want, out)
			}
		})
	}
}
