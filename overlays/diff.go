package overlays

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	sigsyaml "sigs.k8s.io/yaml"
)

// Diff is a unified diff of two renderings, object by object, for a person to
// read in a pull request. The values of Secrets are masked; that one differs is
// still to be seen. Renderings that are equal give the empty string.
func Diff(before, after Manifests) string {
	old, fresh := byKey(before), byKey(after)
	var b strings.Builder
	for _, o := range before.Objects {
		is, ok := fresh[o.key()]
		if !ok {
			is = Object{}
		}
		b.WriteString(diffObject(o, is))
	}
	for _, o := range after.Objects {
		if _, ok := old[o.key()]; !ok {
			b.WriteString(diffObject(Object{}, o))
		}
	}
	return b.String()
}

func diffObject(was, is Object) string {
	if reflect.DeepEqual(was.fields, is.fields) {
		return ""
	}
	name := was.String()
	if was.fields == nil {
		name = is.String()
	}
	a, z := masked(was, is)
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(a), B: lines(z), FromFile: name, ToFile: name, Context: 3,
	})
	if err != nil {
		// difflib fails only where its writer does, and a buffer does not.
		return fmt.Sprintf("--- %s\n+++ %s\n", name, name)
	}
	return text
}

// lines splits text for difflib; no text has no line.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return difflib.SplitLines(strings.TrimSuffix(text, "\n"))
}

// masked is both objects' YAML with the values of Secrets hidden.
func masked(was, is Object) (before, after string) {
	if was.Kind != "Secret" && is.Kind != "Secret" {
		return string(was.YAML), string(is.YAML)
	}
	return maskSecret(was, is, "*** (before)"), maskSecret(is, was, "*** (after)")
}

func maskSecret(o, other Object, changed string) string {
	if o.fields == nil {
		return ""
	}
	fields := maps.Clone(o.fields)
	for _, name := range []string{"data", "stringData"} {
		values, ok := fields[name].(map[string]any)
		if !ok {
			continue
		}
		hidden := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			hidden[key] = "***"
			if !reflect.DeepEqual(values[key], asMap(other.fields[name])[key]) {
				hidden[key] = changed
			}
		}
		fields[name] = hidden
	}
	// The annotation of kubectl apply repeats the whole object.
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		if annotations := asMap(metadata["annotations"]); annotations["kubectl.kubernetes.io/last-applied-configuration"] != nil {
			metadata = maps.Clone(metadata)
			annotations = maps.Clone(annotations)
			annotations["kubectl.kubernetes.io/last-applied-configuration"] = "***"
			metadata["annotations"] = annotations
			fields["metadata"] = metadata
		}
	}
	text, err := sigsyaml.Marshal(fields)
	if err != nil {
		return "# not shown: " + o.String() + "\n"
	}
	return string(text)
}
