package tryout

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/record"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// judgedRun is the AnalysisRun of a trial of some looks, in which the canary
// fails one request in ten from look 40 on, and a metric leaves its bounds.
func judgedRun(t *testing.T, looks int) *v1alpha1.AnalysisRun {
	t.Helper()
	most := 1.0
	spec := analysis.Spec{Checks: []analysis.Check{
		{Name: "errors", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "a", Bad: "b", Comparison: analysis.Comparison{Objective: 0.01}}},
		{Name: "memory", Kind: analysis.KindThreshold, DryRun: true, Threshold: &analysis.Threshold{Query: "m", Max: &most}},
		{Name: "quiet", Kind: analysis.KindRatio, Ratio: &analysis.Ratio{Total: "c", Bad: "d"}},
	}}
	state := analysis.NewState(began)
	kept, err := record.New(spec, state)
	if err != nil {
		t.Fatal(err)
	}
	var verdict analysis.Verdict
	for k := range looks {
		end := began.Add(time.Duration(k+1) * 2 * time.Second)
		value, canary := 0.5+float64(k)/100, analysis.Counts{Total: 10}
		if k >= 40 {
			canary.Failed = 1
		}
		w := analysis.Window{Start: end.Add(-2 * time.Second), End: end}
		observations := []analysis.Observation{
			{Check: "errors", Window: w, Stable: &analysis.Counts{Total: 190, Failed: float64(k % 5 / 4)}, Canary: &canary},
			{Check: "memory", Window: w, Value: &value},
		}
		if err := kept.Look(state, observations, end); err != nil {
			t.Fatal(err)
		}
		state, verdict = analysis.Judge(spec, state, observations, end)
	}
	encoded, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return &v1alpha1.AnalysisRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AnalysisRun"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-3"},
		Spec:       v1alpha1.AnalysisRunSpec{Rollout: "web", Trial: 3, Alpha: "0.01"},
		Status: v1alpha1.AnalysisRunStatus{
			Verdict: string(verdict.Outcome), Message: verdict.Message, Checks: analysisrun.Checks(verdict),
			State: string(encoded), Record: kept.String(),
			Completed: &metav1.Time{Time: began.Add(5 * time.Minute)},
		},
	}
}

func written(t *testing.T, run *v1alpha1.AnalysisRun) string {
	t.Helper()
	text, err := yaml.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "run.yaml")
	write(t, file, string(text))
	return file
}

func TestShow(t *testing.T) {
	out, err := serin(t, "analysis", "show", "-f", written(t, judgedRun(t, 90)))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "show.txt", out)
}

func TestRejudge(t *testing.T) {
	tests := map[string]struct {
		change func(*v1alpha1.AnalysisRun)
		says   string
		err    string
	}{
		"as it was":        {func(*v1alpha1.AnalysisRun) {}, "the same verdict, bit for bit: Fail: check errors: canary", ""},
		"another outcome":  {func(r *v1alpha1.AnalysisRun) { r.Status.Verdict = "Pass" }, "", "the verdict differs: it was Pass"},
		"another message":  {func(r *v1alpha1.AnalysisRun) { r.Status.Message += "." }, "", "the verdict differs"},
		"another check":    {func(r *v1alpha1.AnalysisRun) { r.Status.Checks[1].Verdict = "Pass" }, "", "the checks differ"},
		"one bit of state": {func(r *v1alpha1.AnalysisRun) { r.Status.State = edited(t, r.Status.State, "190", "191") }, "", "another state"},
		"one bit of record": {func(r *v1alpha1.AnalysisRun) {
			r.Status.Record = edited(t, r.Status.Record, "[190,1,", "[190,2,")
		}, "", "another state"},
		"not looked at yet": {func(r *v1alpha1.AnalysisRun) { r.Status.Record = "" }, "", "no record yet"},
		"a broken record":   {func(r *v1alpha1.AnalysisRun) { r.Status.Record += "nonsense" }, "", "status.record: unpack"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			run := judgedRun(t, 90)
			test.change(run)
			out, err := serin(t, "analysis", "rejudge", "-f", written(t, run))
			if test.err == "" && (err != nil || !strings.Contains(out, test.says)) {
				t.Errorf("printed %q, %v; want %q", out, err, test.says)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

// edited changes a packed text.
func edited(t *testing.T, packed, from, to string) string {
	t.Helper()
	text, err := record.Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	return record.Pack(strings.Replace(text, from, to, 1))
}

// TestRejudgeFull wants a record without room for all looks shown, from what the
// status holds, and not called the same.
func TestRejudgeFull(t *testing.T) {
	run := judgedRun(t, 90)
	text, err := record.Unpack(run.Status.Record)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(text, "\n")
	run.Status.Record = record.Pack(strings.Join(lines[:len(lines)/2], "") + `{"t":0,"full":true}` + "\n")
	file := written(t, run)
	if _, err := serin(t, "analysis", "rejudge", "-f", file); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v, want one that says that there was no room", err)
	}
	out, err := serin(t, "analysis", "show", "-f", file)
	if err != nil || !strings.Contains(out, "90 looks") {
		t.Errorf("%v; want all 90 looks drawn:\n%s", err, out)
	}
}

func TestRunIsNamedOnce(t *testing.T) {
	for _, args := range [][]string{{}, {"web-3", "-f", "x.yaml"}} {
		if _, err := serin(t, append([]string{"analysis", "show"}, args...)...); err == nil || !strings.Contains(err.Error(), "name an AnalysisRun, or a file") {
			t.Errorf("%v: error %v", args, err)
		}
	}
	if _, err := serin(t, "analysis", "show", "web-3"); err == nil || !strings.Contains(err.Error(), "there is no cluster") {
		t.Errorf("a run of a cluster that is away: %v", err)
	}
	if _, err := serin(t, "analysis", "show", "-f", "testdata/rollout.yaml"); err == nil || !strings.Contains(err.Error(), "holds 0 AnalysisRuns") {
		t.Errorf("a file without a run: %v", err)
	}
}

func TestUnknownSubcommandIsRefused(t *testing.T) {
	if out, err := serin(t, "analysis", "rejuge"); err == nil || !strings.Contains(err.Error(), `unknown command "rejuge"`) {
		t.Errorf("error %v, want one that names the command; printed %s", err, out)
	}
	if out, err := serin(t, "analysis"); err != nil || !strings.Contains(out, "rejudge") {
		t.Errorf("error %v and %q, want the help", err, out)
	}
}
