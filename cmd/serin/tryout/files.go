package tryout

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/cmd/serin/tryout/schema"
	"github.com/serin-gitops/serin/controllers/analysisrun"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// defaultDeadline is that of the API for a whole trial.
const defaultDeadline = 2 * time.Hour

// analysisFiles names files with one Rollout and the templates it uses.
type analysisFiles struct {
	rollouts, templates []string
}

func (f *analysisFiles) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.rollouts, "file", "f", nil, "a file with the Rollout; - is the standard input")
	cmd.Flags().StringArrayVar(&f.templates, "template", nil, "a file with AnalysisTemplates or ClusterAnalysisTemplates that the Rollout uses, beside those in --file")
	_ = cmd.MarkFlagRequired("file") // the flag is defined above
}

// tried is an analysis read from files.
type tried struct {
	rollout *v1alpha1.Rollout
	spec    analysis.Spec
	steps   []simulate.Step
	// left are the checks that only running pods, or a gate, can answer.
	left []string
}

// read gives the Rollout's analysis as the controller would ask it, without
// the checks that ask pods or gates.
func (f *analysisFiles) read(ctx context.Context, in io.Reader) (tried, error) {
	var found documents
	for _, name := range append(slices.Clone(f.rollouts), f.templates...) {
		if err := found.read(ctx, name, in); err != nil {
			return tried{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(found.rollouts) != 1 {
		return tried{}, fmt.Errorf("--file holds %d Rollouts; give exactly one", len(found.rollouts))
	}
	t := tried{rollout: &found.rollouts[0]}
	all, err := checks.Resolve(t.rollout, found.template)
	if err != nil {
		return tried{}, fmt.Errorf("rollout %s: %w", t.rollout.Name, err)
	}
	var asked []v1alpha1.Check
	for _, check := range all {
		if check.HTTP != nil || check.Peers != nil || check.Webhook != nil {
			t.left = append(t.left, check.Name)
			continue
		}
		asked = append(asked, check)
	}
	if t.spec, err = checks.Spec(t.rollout, t.rollout.Spec.Analysis.Alpha, asked); err != nil {
		return tried{}, fmt.Errorf("rollout %s: %w", t.rollout.Name, err)
	}
	t.spec.Checks = slices.DeleteFunc(t.spec.Checks, func(c analysis.Check) bool { return c.Kind == analysis.KindWorkload })
	t.left = append([]string{checks.Workload}, t.left...)
	for _, check := range t.spec.Checks {
		if err := observe.Check(check, observe.Trial{Args: analysisrun.Args(t.rollout)}); err != nil {
			return tried{}, fmt.Errorf("rollout %s: check %s: %w", t.rollout.Name, check.Name, err)
		}
	}
	for _, step := range rollout.Steps(t.rollout) {
		s := simulate.Step{Weight: float64(step.Weight), UntilEvidence: step.Until == "Evidence", HoldOnTimeout: step.OnTimeout != "Advance"}
		if step.Duration != nil {
			s.For = step.Duration.Duration
		}
		if step.MinDuration != nil {
			s.Least = step.MinDuration.Duration
		}
		t.steps = append(t.steps, s)
	}
	return t, nil
}

// statistical gives the ratio or latency check of a name; without a name the first.
func (t tried) statistical(name string) (analysis.Check, error) {
	var known []string
	for _, check := range t.spec.Checks {
		if check.Kind != analysis.KindRatio && check.Kind != analysis.KindLatency {
			continue
		}
		if name == "" || check.Name == name {
			return check, nil
		}
		known = append(known, check.Name)
	}
	if len(known) == 0 {
		return analysis.Check{}, fmt.Errorf("rollout %s has no ratio and no latency check to try", t.rollout.Name)
	}
	return analysis.Check{}, fmt.Errorf("--check: rollout %s has no ratio or latency check %q; it has %s", t.rollout.Name, name, strings.Join(known, ", "))
}

func (t tried) deadline() time.Duration {
	if d := t.rollout.Spec.Deadline.Duration; d > 0 {
		return d
	}
	return defaultDeadline
}

// documents are the objects of ours found in files.
type documents struct {
	rollouts  []v1alpha1.Rollout
	templates []v1alpha1.AnalysisTemplate
	cluster   []v1alpha1.ClusterAnalysisTemplate
	runs      []v1alpha1.AnalysisRun
}

func (d *documents) template(ref v1alpha1.TemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
	if ref.Kind == v1alpha1.KindClusterAnalysisTemplate {
		for _, t := range d.cluster {
			if t.Name == ref.Name {
				return t.Spec, nil
			}
		}
	} else {
		for _, t := range d.templates {
			if t.Name == ref.Name {
				return t.Spec, nil
			}
		}
	}
	return v1alpha1.AnalysisTemplateSpec{}, errors.New("it is in none of the files: give it with --template")
}

// read adds a file's objects; those of other kinds are passed over.
func (d *documents) read(ctx context.Context, name string, in io.Reader) error {
	if name == "-" {
		in = abandoned{ctx, in}
	} else {
		file, err := os.Open(name)
		if missing := (*os.PathError)(nil); errors.As(err, &missing) {
			return missing.Err // the caller names the file
		}
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	reader := yaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := d.add(ctx, text); err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
	}
}

func (d *documents) add(ctx context.Context, text []byte) error {
	var meta struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
	}
	// What JSON has no word for is told of the field that has it.
	if err := yamlv3.Unmarshal(text, &meta); err != nil {
		return err
	}
	if meta.APIVersion != v1alpha1.GroupVersion.String() {
		return nil
	}
	switch meta.Kind {
	case "Rollout":
		return accept(ctx, "rollouts", text, &d.rollouts)
	case v1alpha1.KindAnalysisTemplate:
		return accept(ctx, "analysistemplates", text, &d.templates)
	case v1alpha1.KindClusterAnalysisTemplate:
		return accept(ctx, "clusteranalysistemplates", text, &d.cluster)
	case "AnalysisRun":
		return decode(text, &d.runs)
	}
	return nil
}

// accept takes an object that an API server would, with its defaults.
func accept[T any](ctx context.Context, plural string, text []byte, to *[]T) error {
	kind, err := schema.Load(plural)
	if err != nil {
		return err
	}
	var object T
	if err := kind.Decode(ctx, text, &object); err != nil {
		return err
	}
	*to = append(*to, object)
	return nil
}

// decode refuses fields that the API does not have.
func decode[T any](text []byte, to *[]T) error {
	var object T
	if err := sigsyaml.UnmarshalStrict(text, &object); err != nil {
		return err
	}
	*to = append(*to, object)
	return nil
}
