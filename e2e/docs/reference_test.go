package docs

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write docs/reference.md anew")

// kinds in the order in which people meet them.
var kinds = []struct{ plural, says string }{
	{"pipelines", "Explained in [pipeline.md](pipeline.md)."},
	{"releases", "Made by Serin; see [pipeline.md](pipeline.md)."},
	{"promotions", "Made by Serin; see [pipeline.md](pipeline.md)."},
	{"rollouts", "Explained in [rollout.md](rollout.md)."},
	{"analysistemplates", "Explained in [analysis.md](analysis.md)."},
	{"clusteranalysistemplates", "Explained in [analysis.md](analysis.md)."},
	{"analysisruns", "Made by Serin; see [analysis.md](analysis.md)."},
}

const preface = `# Every field

Written from config/crd by ` + "`go test ./e2e/docs -update`" + `; a test fails while it differs.
` + "`kubectl explain`" + ` says the same. ` + "`[]`" + ` is a list, ` + "`{}`" + ` a map. Durations are
written like 90s, 10m or 1h30m. The pages that the kinds link to say how the fields
work together.
`

// TestReference compares docs/reference.md with the definitions of the kinds.
func TestReference(t *testing.T) {
	var page strings.Builder
	page.WriteString(preface)
	var check []row
	for _, kind := range kinds {
		name, schema := definition(t, kind.plural)
		fmt.Fprintf(&page, "\n## %s\n\n%s %s\n\n", name, sentence(schema.Description), kind.says)
		rows := append(fields("spec", schema.Properties["spec"], false), fields("status", schema.Properties["status"], false)...)
		rows, own := apart(rows)
		if len(own) > 0 && check == nil {
			check = own
		}
		if diff := cmp.Diff(check, own, cmp.AllowUnexported(row{})); len(own) > 0 && diff != "" {
			t.Errorf("the checks of a %s are not like those of others, so they need a table of their own:\n%s", name, diff)
		}
		table(&page, rows)
	}
	page.WriteString("\n## A check\n\nOne entry of `checks[]` in a Rollout, an AnalysisTemplate or an AnalysisRun. Exactly one kind is set.\n\n")
	table(&page, check)
	path := pages + "/reference.md"
	if *update {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(check) < 40 {
		t.Errorf("found %d fields of a check: the search is broken", len(check))
	}
	if diff := cmp.Diff(page.String(), read(t, path)); diff != "" {
		t.Errorf("docs/reference.md is not as config/crd says; run go test ./e2e/docs -update\n%s", diff)
	}
}

// definition reads a kind's name and schema.
func definition(t *testing.T, plural string) (string, apiextensions.JSONSchemaProps) {
	t.Helper()
	var crd apiextensions.CustomResourceDefinition
	path := root + "/config/crd/serin.dev_" + plural + ".yaml"
	if err := yaml.UnmarshalStrict([]byte(read(t, path)), &crd); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return crd.Spec.Names.Kind, *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// row is one field.
type row struct{ path, value, meaning string }

// foreign are fields whose parts are Kubernetes' own.
var foreign = []string{"conditions", "including"}

// fields are all below a schema, in the order of their names.
func fields(path string, schema apiextensions.JSONSchemaProps, required bool) []row {
	var rows []row
	if strings.Contains(path, ".") {
		rows = append(rows, row{path + brackets(schema), value(schema, required), sentence(schema.Description)})
	}
	if slices.Contains(foreign, path[strings.LastIndex(path, ".")+1:]) {
		return rows
	}
	below, under := schema, path
	if schema.Items != nil {
		below, under = *schema.Items.Schema, path+"[]"
	}
	for _, name := range slices.Sorted(maps.Keys(below.Properties)) {
		property := below.Properties[name]
		rows = append(rows, fields(under+"."+name, property, slices.Contains(below.Required, name))...)
	}
	return rows
}

func brackets(schema apiextensions.JSONSchemaProps) string {
	switch {
	case schema.Items != nil:
		return "[]"
	case schema.AdditionalProperties != nil:
		return "{}"
	}
	return ""
}

// value says what may be written.
func value(schema apiextensions.JSONSchemaProps, required bool) string {
	var parts []string
	for _, one := range schema.Enum {
		parts = append(parts, "`"+strings.Trim(string(one.Raw), `"`)+"`")
	}
	text := strings.Join(parts, " ")
	if text == "" {
		text = schema.Type
	}
	if schema.Items != nil {
		text = "list of " + schema.Items.Schema.Type
	}
	if schema.Minimum != nil && schema.Maximum != nil {
		text += fmt.Sprintf(", %g to %g", *schema.Minimum, *schema.Maximum)
	} else if schema.Minimum != nil {
		text += fmt.Sprintf(", at least %g", *schema.Minimum)
	}
	if schema.Default != nil {
		return text + ", else `" + strings.Trim(string(schema.Default.Raw), `"`) + "`"
	}
	if required {
		return text + ", **required**"
	}
	return text
}

// sentence is a description in one line of a table.
func sentence(description string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(description), " "), "|", "\\|")
}

// apart takes what is below checks[] of a specification out, relative to it. A
// status has verdicts in its checks[].
func apart(rows []row) (rest, check []row) {
	for _, one := range rows {
		_, inner, found := strings.Cut(one.path, ".checks[].")
		if found && strings.HasPrefix(one.path, "spec.") {
			check = append(check, row{inner, one.value, one.meaning})
			continue
		}
		rest = append(rest, one)
	}
	return rest, check
}

func table(page *strings.Builder, rows []row) {
	page.WriteString("| field | value | meaning |\n|---|---|---|\n")
	for _, one := range rows {
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", one.path, one.value, one.meaning)
	}
}
