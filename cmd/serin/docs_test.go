package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis/probe"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/cmd/serin/tryout/schema"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// project is the directory of the repository.
const project = "../.."

// pages are the documents for people, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found, err := filepath.Glob(project + "/docs/*.md")
	if err != nil || len(found) < 5 {
		t.Fatalf("found %d pages: %v", len(found), err)
	}
	pages := map[string]string{}
	for _, path := range append(found, project+"/README.md", project+"/examples/ipfs-kit/README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = string(text)
	}
	return pages
}

// sourceTexts are the files that messages for people are written in, by path.
func sourceTexts(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{"analysis", "api", "cmd", "config", "controllers", "embedded", "environments", "forge", "overlays", "registry", "traffic", "web"} {
		err := filepath.WalkDir(filepath.Join(project, dir), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") || !regexp.MustCompile(`\.(go|yaml)$`).MatchString(path) {
				return err
			}
			text, err := os.ReadFile(path)
			files[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A command that a page or a message tells people to use must be there, with the
// flags it is given.
func TestCommandsThatPeopleAreTold(t *testing.T) {
	inPages := regexp.MustCompile("`serin ([a-z][^`]*)`|(?m)^(?:\\$ )?serin ([a-z].*)$")
	inMessages := regexp.MustCompile(`\\?"serin ([a-z][^"\\]*)\\?"`)
	told := 0
	for pattern, files := range map[*regexp.Regexp]map[string]string{inPages: pages(t), inMessages: sourceTexts(t)} {
		for path, text := range files {
			for _, found := range pattern.FindAllStringSubmatch(text, -1) {
				told++
				isCommand(t, path, strings.Fields(strings.Join(found[1:], "")))
			}
		}
	}
	if told < 40 {
		t.Fatalf("found %d commands: the search is broken", told)
	}
}

func isCommand(t *testing.T, path string, words []string) {
	t.Helper()
	all := root()
	all.InitDefaultCompletionCmd()
	command, rest, err := all.Find(words)
	command.InitDefaultHelpFlag()
	if err != nil || command.Name() == "serin" {
		t.Errorf("%s: there is no command serin %s", path, strings.Join(words, " "))
		return
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		flag := command.Flags().Lookup(name)
		if len(name) == 1 {
			flag = command.Flags().ShorthandLookup(name)
		}
		if strings.HasPrefix(word, "-") && flag == nil {
			t.Errorf("%s: serin %s has no flag %s", path, command.Name(), word)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```")

// documented are the objects of a kind in the pages, each as text.
func documented(t *testing.T, kind string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for path, text := range pages(t) {
		for _, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
			for document := range strings.SplitSeq(block[1], "\n---\n") {
				if strings.Contains(document, "\nkind: "+kind+"\n") {
					found[path+": "+document] = document
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no page has a %s: the search is broken", kind)
	}
	return found
}

// The file that operations.md shows is one that Serin takes.
func TestDocumentedEmbedded(t *testing.T) {
	read := 0
	for name, text := range documented(t, "ConfigMap") {
		var object corev1.ConfigMap
		if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		content, there := object.Data["embedded.yaml"]
		if !there {
			continue
		}
		path := filepath.Join(t.TempDir(), "embedded.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		embedded, err := readEmbedded(path)
		if err != nil || embedded.Git == nil || embedded.Registry == nil || len(embedded.Sync) == 0 {
			t.Errorf("%s: %+v, %v", name, embedded, err)
		}
		read++
	}
	if read == 0 {
		t.Error("no page shows embedded.yaml")
	}
}

// Every Rollout that a page shows is one that a cluster takes, its definition and
// the admission, with the templates that the pages show.
func TestDocumentedRollouts(t *testing.T) {
	prober, err := probe.New()
	if err != nil {
		t.Fatal(err)
	}
	inspect := inspector(prober)
	var templates []client.Object
	for name, text := range documented(t, v1alpha1.KindAnalysisTemplate) {
		template := &v1alpha1.AnalysisTemplate{}
		accepted(t, "analysistemplates", name, text, template)
		if err := analysisrun.VerifyTemplate(template.Spec, inspect); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		templates = append(templates, template)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(templates...).Build()
	for name, text := range documented(t, "Rollout") {
		ro := &v1alpha1.Rollout{}
		accepted(t, "rollouts", name, text, ro)
		if err := analysisrun.Verify(ro, analysisrun.Templates(t.Context(), reader, ro.Namespace), inspect); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range documented(t, "Pipeline") {
		accepted(t, "pipelines", name, text, &v1alpha1.Pipeline{})
	}
}

// accepted decodes an object that its definition in config/crd takes.
func accepted(t *testing.T, plural, name, text string, into any) {
	t.Helper()
	kind, err := schema.Load(plural)
	if err != nil {
		t.Fatal(err)
	}
	if err := kind.Decode(t.Context(), []byte(text), into); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// What is not a whole object is a list of checks, or a metric source.
func TestDocumentedFragments(t *testing.T) {
	checks, sources := 0, 0
	for path, text := range pages(t) {
		for _, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
			switch {
			case strings.HasPrefix(block[1], "apiVersion: "):
			case strings.HasPrefix(block[1], "source:"):
				var part struct {
					Source v1alpha1.MetricSource `json:"source"`
				}
				if err := yaml.UnmarshalStrict([]byte(block[1]), &part); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				sources++
			default:
				// As the checks of a Rollout, so that its definition has a say.
				indented := "    " + strings.ReplaceAll(block[1], "\n", "\n    ")
				accepted(t, "rollouts", path, "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: web, namespace: shop}\n"+
					"spec:\n  workloadRef: {name: web}\n  traffic: {service: web, routeRef: {name: web}}\n  analysis:\n    checks:\n"+indented, &v1alpha1.Rollout{})
				checks++
			}
		}
	}
	if checks < 2 || sources == 0 {
		t.Errorf("found %d lists of checks, %d sources: the search is broken", checks, sources)
	}
}
