package confined

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// loading are the fields of a kustomization whose values kustomize loads: from
// the repository, or else from the network.
var loading = []string{
	"resources", "components", "bases", "crds", "configurations", "patches", "patchesStrategicMerge",
	"patchesJson6902", "replacements", "configMapGenerator", "secretGenerator", "openapi",
}

// running are the fields that hold configurations of plug-ins, or files with
// them: what those load is what the configuration says.
var running = []string{"generators", "transformers", "validators"}

// helm are the fields that would run the helm program.
var helm = []string{"helmCharts", "helmChartInflationGenerator"}

// among says whether a field is one of these. kustomize takes its fields' names
// in any case.
func among(names []string, field string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, field) })
}

// refuseRemote refuses a kustomization that loads what is not in the
// repository, or runs programs: a rendering must give the same for everybody,
// and must not let a repository send requests out of the cluster. It returns
// the files of plug-ins, as they are named there.
func refuseRemote(name string, content []byte) (plugins []string, err error) {
	var node yaml.Node
	if err := yaml.Unmarshal(content, &node); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(node.Content) == 0 {
		return nil, nil
	}
	if bad := encoded(&node); bad != nil {
		return nil, refuseEncoded(name, bad)
	}
	for _, f := range fieldsOf(node.Content[0], 0) {
		var bad *yaml.Node
		switch {
		case among(helm, f.key.Value) && len(f.value.Content) > 0:
			return nil, fmt.Errorf("%s:%d: field %s: Helm charts are not rendered here, write the rendered manifests into the repository", name, f.key.Line, f.key.Value)
		case among(running, f.key.Value):
			var files []string
			files, bad = pluginsOf(f.value, 0)
			plugins = append(plugins, files...)
		case among(loading, f.key.Value):
			bad = remoteScalar(f.value, "", 0)
		}
		if bad != nil {
			return nil, fmt.Errorf("%s:%d: field %s: %q is not in the repository; remote bases and files are refused, copy it into the repository", name, bad.Line, f.key.Value, bad.Value)
		}
	}
	return plugins, nil
}

// refuseRemotePlugin refuses a file with configurations of plug-ins that load
// what is not in the repository.
func refuseRemotePlugin(name string, content []byte) error {
	configurations, err := documents(content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, configuration := range configurations {
		if bad := encoded(configuration); bad != nil {
			return refuseEncoded(name, bad)
		}
		if bad := remoteScalar(configuration, "", 0); bad != nil {
			return fmt.Errorf("%s:%d: %q is not in the repository, and this file is a plug-in of kustomize; remote files are refused, copy it into the repository", name, bad.Line, bad.Value)
		}
	}
	return nil
}

// encoded finds a value in base64, which kustomize would decode and which
// cannot be looked through.
func encoded(node *yaml.Node) *yaml.Node {
	if node.ShortTag() == "!!binary" {
		return node
	}
	for _, child := range node.Content {
		if bad := encoded(child); bad != nil {
			return bad
		}
	}
	return nil
}

func refuseEncoded(name string, bad *yaml.Node) error {
	return fmt.Errorf("%s:%d: a value with the tag !!binary is refused here; write it as plain text", name, bad.Line)
}

// field is a field of a kustomization.
type field struct{ key, value *yaml.Node }

// fieldsOf are the fields that kustomize reads of a map, those of maps that are
// merged into it included.
func fieldsOf(node *yaml.Node, depth int) []field {
	if depth > maxDepth {
		return nil
	}
	var fields []field
	switch node.Kind {
	case yaml.AliasNode:
		return fieldsOf(node.Alias, depth+1)
	case yaml.SequenceNode:
		// Several maps that are merged in.
		for _, child := range node.Content {
			fields = append(fields, fieldsOf(child, depth+1)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
			if key.Value == "<<" {
				fields = append(fields, fieldsOf(value, depth+1)...)
				continue
			}
			fields = append(fields, field{key, value})
		}
	}
	return fields
}

// pluginsOf are the files of plug-ins in a field that names them; bad is what is
// not in the repository.
func pluginsOf(node *yaml.Node, depth int) (files []string, bad *yaml.Node) {
	switch {
	case depth > maxDepth:
		return nil, node
	case node.Kind == yaml.AliasNode:
		return pluginsOf(node.Alias, depth+1)
	case node.Kind == yaml.ScalarNode:
		return pluginOf(node)
	}
	for _, child := range node.Content {
		more, bad := pluginsOf(child, depth+1)
		if bad != nil {
			return nil, bad
		}
		files = append(files, more...)
	}
	return files, nil
}

// pluginOf is the file of a plug-in; none where its configuration is written out
// in place.
func pluginOf(node *yaml.Node) (files []string, bad *yaml.Node) {
	if isRemote(firstWord(node.Value)) {
		return nil, node
	}
	configurations, err := documents([]byte(node.Value))
	if err != nil {
		return []string{node.Value}, nil
	}
	for _, configuration := range configurations {
		if encoded(configuration) != nil || remoteScalar(configuration, "", 1) != nil {
			return nil, node
		}
		if configuration.Kind == yaml.ScalarNode {
			files = append(files, node.Value)
		}
	}
	return files, nil
}

// documents are the roots of a text's documents.
func documents(text []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, document.Content...)
	}
}

// maxDepth bounds how deep values are looked through.
const maxDepth = 32

// inline are fields below the loading ones that hold content, not a place.
var inline = map[string]bool{
	"patch": true, "literals": true, "labels": true, "annotations": true, "options": true, "target": true,
	"targets": true, "select": true, "reject": true, "fieldPaths": true, "name": true, "namespace": true,
	"jsonOp": true, "sourceValue": true, "value": true,
}

// remoteScalar finds a value that kustomize would take for a remote place.
func remoteScalar(node *yaml.Node, fieldName string, depth int) *yaml.Node {
	if inline[fieldName] {
		return nil
	}
	if depth > maxDepth {
		return node
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
			// A patch that is written out in place is no place, whatever it speaks of.
			if isRemote(firstWord(node.Value)) {
				return node
			}
			return nil
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

func firstWord(text string) string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	return words[0]
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
