package crd

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// One object with a duration that Go cannot read would fail the list of all
// objects of its kind, so the API server has to refuse every such value. Those
// that it takes are whole milliseconds, so that Go writes them as they may be.
func TestDurationsAreRefusedUnlessGoReadsThem(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	entries, err := Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, entry := range entries {
		text, err := Files.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatalf("%s: %v", entry.Name(), err)
		}
		kind := schema.GroupVersionKind{
			Group: definition.Spec.Group, Version: definition.Spec.Versions[0].Name, Kind: definition.Spec.Names.Kind,
		}
		object, err := scheme.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		walk(reflect.TypeOf(object).Elem(), definition.Spec.Versions[0].Schema.OpenAPIV3Schema, kind.Kind,
			func(path string, props *apiextensionsv1.JSONSchemaProps) {
				if strings.Contains(path, ".status.") {
					return // Serin's own, with units down to nanoseconds
				}
				found++
				checkDuration(t, path, props)
			})
	}
	if found < 15 {
		t.Errorf("found %d durations, want all of them: the walk is wrong", found)
	}
}

func checkDuration(t *testing.T, path string, props *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	pattern, err := regexp.Compile(props.Pattern)
	if err != nil || props.Pattern == "" || props.MinLength == nil || *props.MinLength != 1 {
		t.Errorf("%s has no pattern of a duration (%q, %v)", path, props.Pattern, err)
		return
	}
	for _, text := range []string{"0", "0s", "500ms", "1.5s", "2m", "1h0m0s", "604800s", "8760h", "900000h999999m99999999s999999999ms"} {
		parsed, err := time.ParseDuration(text)
		if err != nil || !pattern.MatchString(text) || !pattern.MatchString(parsed.String()) {
			t.Errorf("%s refuses %q or what Go writes for it, %s (%v)", path, text, parsed, err)
		}
	}
	for _, text := range []string{"fast", "5", "0.5ms", "1us", "5 s", "-5s", "1d", "s", "9999999h", "1h1h", "5s\n"} {
		if pattern.MatchString(text) {
			t.Errorf("%s takes %q", path, text)
		}
	}
}

var durationType = reflect.TypeFor[metav1.Duration]()

// walk calls visit for every property of the schema that is a duration in Go.
func walk(goType reflect.Type, props *apiextensionsv1.JSONSchemaProps, path string, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	switch {
	case goType == durationType:
		visit(path, props)
	case goType.Kind() == reflect.Pointer:
		walk(goType.Elem(), props, path, visit)
	case goType.Kind() == reflect.Slice && props.Items != nil:
		walk(goType.Elem(), props.Items.Schema, path+"[]", visit)
	case goType.Kind() == reflect.Map && props.AdditionalProperties != nil:
		walk(goType.Elem(), props.AdditionalProperties.Schema, path+"{}", visit)
	case goType.Kind() == reflect.Struct:
		for i := range goType.NumField() {
			field := goType.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" && field.Anonymous {
				walk(field.Type, props, path, visit)
				continue
			}
			if inner, ok := props.Properties[name]; ok {
				walk(field.Type, &inner, path+"."+name, visit)
			}
		}
	}
}
