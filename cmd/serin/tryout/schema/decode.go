package schema

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Decode reads one object, in YAML or JSON, into a pointer to its Go type, with
// the defaults filled in. Its error names the object and says of every field that
// an API server would refuse what is wrong with it. A status is passed over, as it
// is by an API server that is given an object.
func (k *Kind) Decode(ctx context.Context, text []byte, into any) error {
	object, err := objectOf(text)
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	if k.hasStatus {
		delete(object, "status")
	}
	u := unstructured.Unstructured{Object: object}
	if k.namespaced && u.GetNamespace() == "" {
		// It goes where kubectl would put it.
		u.SetNamespace(metav1.NamespaceDefault)
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	errs := append(k.unknown(object), k.validate(ctx, object)...)
	if len(errs) == 0 {
		// Only the type knows what some texts must be, such as a duration.
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, into); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s %s: %w", k.name, strings.TrimPrefix(u.GetNamespace()+"/"+u.GetName(), "/"), errors.Join(errs...))
}

// objectOf reads YAML or JSON as an API server has it.
func objectOf(text []byte) (map[string]any, error) {
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if err := finite(&document, ""); err != nil {
		return nil, err
	}
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	return object, json.Unmarshal(encoded, &object)
}

// finite refuses .nan and .inf, which JSON does not have.
func finite(n *yamlv3.Node, path string) error {
	var value float64
	if n.Kind == yamlv3.ScalarNode && n.Tag == "!!float" && n.Decode(&value) == nil && (math.IsNaN(value) || math.IsInf(value, 0)) {
		return fmt.Errorf("line %d: %s is %s: give a finite number", n.Line, strings.TrimPrefix(path, "."), n.Value)
	}
	for i, child := range n.Content {
		at := path
		switch {
		case n.Kind == yamlv3.MappingNode && i%2 == 1:
			at += "." + n.Content[i-1].Value
		case n.Kind == yamlv3.SequenceNode:
			at += "[" + strconv.Itoa(i) + "]"
		}
		if err := finite(child, at); err != nil {
			return err
		}
	}
	return nil
}

// validate is what an API server checks of an object that is created.
func (k *Kind) validate(ctx context.Context, object map[string]any) []error {
	if _, _, err := objectmeta.GetObjectMeta(object, false); err != nil {
		return []error{fmt.Errorf("metadata: %w", err)}
	}
	u := &unstructured.Unstructured{Object: object}
	found := apivalidation.ValidateObjectMetaAccessor(u, k.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	found = append(found, validation.ValidateCustomResource(nil, object, k.fields)...)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if len(found) == 0 {
		// Rules are only asked of fields that have the right types.
		broken, _ := k.rules.Validate(ctx, nil, k.structural, object, nil, celconfig.RuntimeCELCostBudget)
		found = append(found, broken...)
	}
	errs := make([]error, len(found))
	for i, err := range found {
		errs[i] = err
	}
	return errs
}

// indices are what tells the entries of a list apart.
var indices = regexp.MustCompile(`\[[0-9]+\]`)

// unknown takes the fields out that the kind does not have, and says what to do
// about each.
func (k *Kind) unknown(object map[string]any) []error {
	// An error here is one of metadata, which validate tells.
	_, _, paths, _ := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	pruned := pruning.PruneWithOptions(object, k.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var errs []error
	for _, path := range slices.Concat(paths, pruned) {
		of := strings.ToLower(k.name) + "." + indices.ReplaceAllString(path, "")
		errs = append(errs, fmt.Errorf("%s: unknown field: correct its name or take it out; \"kubectl explain %s\" lists those there are", path, of[:strings.LastIndex(of, ".")]))
	}
	return errs
}
