package confined

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/serin-gitops/serin/overlays/internal/yamledit"
)

// loading are the fields of a kustomization whose values kustomize loads: from
// the repository, or else from the network.
var loading = []string{
	"resources", "components", "bases", "crds", "configurations", "patches", "patchesStrategicMerge",
	"patchesJson6902", "replacements", "configMapGenerator", "secretGenerator", "openapi",
	"generators", "transformers", "validators",
}

// helm are the fields that would run the helm program.
var helm = []string{"helmCharts", "helmChartInflationGenerator"}

// refuseRemote refuses a kustomization that loads what is not in the
// repository, or runs programs: a rendering must give the same for everybody,
// and must not let a repository send requests out of the cluster.
func refuseRemote(name string, content []byte) error {
	var node yaml.Node
	if err := yaml.Unmarshal(content, &node); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(node.Content) == 0 {
		return nil
	}
	root := node.Content[0]
	for _, helmField := range helm {
		if key, value := yamledit.Field(root, helmField); value != nil && len(value.Content) > 0 {
			return fmt.Errorf("%s:%d: field %s: Helm charts are not rendered here, write the rendered manifests into the repository", name, key.Line, key.Value)
		}
	}
	for _, fieldName := range loading {
		_, value := yamledit.Field(root, fieldName)
		if value == nil {
			continue
		}
		if bad := remoteScalar(value, "", 0); bad != nil {
			return fmt.Errorf("%s:%d: field %s: %q is not in the repository; remote bases and files are refused, copy it into the repository", name, bad.Line, fieldName, bad.Value)
		}
	}
	return nil
}

// inline are fields below the loading ones that hold content, not a place.
var inline = map[string]bool{
	"patch": true, "literals": true, "labels": true, "annotations": true, "options": true, "target": true,
	"targets": true, "select": true, "reject": true, "fieldPaths": true, "name": true, "namespace": true,
}

// remoteScalar finds a value that kustomize would take for a remote place.
func remoteScalar(node *yaml.Node, fieldName string, depth int) *yaml.Node {
	if inline[fieldName] || depth > 32 {
		return nil
	}
	switch node.Kind {
	case yaml.AliasNode:
		return remoteScalar(node.Alias, fieldName, depth+1)
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if bad := remoteScalar(node.Content[i+1], node.Content[i].Value, depth+1); bad != nil {
				return bad
			}
		}
	case yaml.SequenceNode:
		for _, child := range node.Content {
			if bad := remoteScalar(child, fieldName, depth+1); bad != nil {
				return bad
			}
		}
	case yaml.ScalarNode:
		if strings.ContainsRune(node.Value, '\n') {
			return remoteInline(node)
		}
		// "key=path" of a generator's files.
		if _, file, ok := strings.Cut(node.Value, "="); ok && isRemote(file) {
			return node
		}
		if isRemote(node.Value) {
			return node
		}
	}
	return nil
}

// remoteInline looks through a patch or a transformer that is written out in
// place: only its field path is loaded.
func remoteInline(node *yaml.Node) *yaml.Node {
	var inner yaml.Node
	if err := yaml.Unmarshal([]byte(node.Value), &inner); err != nil || len(inner.Content) == 0 || inner.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	if kind, value := yamledit.Field(inner.Content[0], "apiVersion"); kind != nil && value.Value != "builtin" {
		return nil
	}
	if remoteScalar(inner.Content[0], "", 1) != nil {
		return node
	}
	return nil
}

// isRemote says whether kustomize may take a path for an address. It errs on
// the side of yes: a directory of a repository has no need of such a name.
func isRemote(p string) bool {
	lower := strings.ToLower(p)
	at, rest, scp := strings.Cut(lower, "@")
	return strings.Contains(lower, "://") ||
		strings.HasPrefix(lower, "git::") ||
		strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:") ||
		strings.HasPrefix(lower, "gh:") ||
		strings.HasPrefix(lower, "github.com") ||
		strings.Contains(lower, "_git/") ||
		strings.Contains(lower, ".git/") || strings.HasSuffix(lower, ".git") ||
		strings.Contains(lower, "?ref=") ||
		(scp && !strings.Contains(at, "/") && strings.Contains(rest, ":"))
}
