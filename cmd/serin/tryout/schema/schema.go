// Package schema takes objects of Serin's kinds as an API server would, without
// one: what the definitions in config/crd refuse is refused, and their defaults
// are filled in. The rules are those of k8s.io/apiextensions-apiserver, which is
// what an API server runs.
package schema

import (
	"fmt"
	"io/fs"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/config/crd"
)

// Kind is what the definition of a kind asks of its objects.
type Kind struct {
	name       string
	namespaced bool
	hasStatus  bool
	structural *structural.Structural
	fields     validation.SchemaValidator
	rules      *cel.Validator
}

// Load reads the definition of a kind by its plural, such as "rollouts".
func Load(plural string) (*Kind, error) {
	file := "serin.dev_" + plural + ".yaml"
	text, err := fs.ReadFile(crd.Files, file)
	if err != nil {
		return nil, fmt.Errorf("definition of %s: %w", plural, err)
	}
	var given apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &given); err != nil {
		return nil, fmt.Errorf("definition %s: %w", file, err)
	}
	if len(given.Spec.Versions) != 1 {
		return nil, fmt.Errorf("definition %s: spec.versions has %d entries, one is known", file, len(given.Spec.Versions))
	}
	var definition apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&given, &definition, nil); err != nil {
		return nil, fmt.Errorf("definition %s: %w", file, err)
	}
	return kindOf(file, &definition)
}

func kindOf(file string, definition *apiextensions.CustomResourceDefinition) (*Kind, error) {
	// Where there is one version, the conversion moves what all versions share up.
	schema, sub := definition.Spec.Validation, definition.Spec.Subresources
	if schema == nil || schema.OpenAPIV3Schema == nil {
		return nil, fmt.Errorf("definition %s has no schema", file)
	}
	kind := &Kind{
		name: definition.Spec.Names.Kind, namespaced: definition.Spec.Scope == apiextensions.NamespaceScoped,
		hasStatus: sub != nil && sub.Status != nil,
	}
	var err error
	if kind.structural, err = structural.NewStructural(schema.OpenAPIV3Schema); err != nil {
		return nil, fmt.Errorf("definition %s: %w", file, err)
	}
	if kind.fields, _, err = validation.NewSchemaValidator(schema.OpenAPIV3Schema); err != nil {
		return nil, fmt.Errorf("definition %s: %w", file, err)
	}
	kind.rules = cel.NewValidator(kind.structural, true, celconfig.PerCallLimit)
	return kind, nil
}
