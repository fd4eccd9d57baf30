package overlays

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays/internal/yamledit"
)

// SetPolicies sets what Flux's setter comments mark in the YAML files below
// dir: a value with the comment {"$imagepolicy": "namespace:name"} becomes the
// whole reference of the policy's image, one with ":tag", ":name" or ":digest"
// behind it that part. policies are images by "namespace:name"; comments of
// other policies are left alone. Every other byte stays.
func SetPolicies(files fs.FS, dir string, policies map[string]environments.Image) ([]File, error) {
	for _, image := range policies {
		if err := validImage(image); err != nil {
			return nil, err
		}
	}
	var changed []File
	err := fs.WalkDir(files, path.Clean(strings.TrimPrefix(dir, "/")), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := path.Ext(name); !entry.Type().IsRegular() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		src, err := fs.ReadFile(files, name)
		if err != nil || !strings.Contains(string(src), "$imagepolicy") {
			return err
		}
		content, err := setPoliciesIn(name, src, policies)
		if content != nil {
			changed = append(changed, File{Path: name, Content: content})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("setter comments below %s: %w", dir, err)
	}
	return changed, nil
}

// setPoliciesIn edits one file; nil where there is nothing to do.
func setPoliciesIn(name string, src []byte, policies map[string]environments.Image) ([]byte, error) {
	doc, err := yamledit.Parse(name, src)
	if err != nil {
		return nil, err
	}
	for _, root := range doc.Roots {
		if err := setPoliciesAt(doc, nil, root, policies); err != nil {
			return nil, err
		}
	}
	if !doc.Edited() {
		return nil, nil
	}
	return doc.Checked()
}

func setPoliciesAt(doc *yamledit.Document, key, node *yaml.Node, policies map[string]environments.Image) error {
	for i, child := range node.Content {
		var name *yaml.Node
		if node.Kind == yaml.MappingNode && i%2 == 1 {
			name = node.Content[i-1]
		}
		if err := setPoliciesAt(doc, name, child, policies); err != nil {
			return err
		}
	}
	if node.Kind != yaml.ScalarNode || !strings.Contains(node.LineComment, "$imagepolicy") {
		return nil
	}
	var setter struct {
		Policy string `json:"$imagepolicy"`
	}
	comment := strings.TrimSpace(strings.TrimPrefix(node.LineComment, "#"))
	if err := json.Unmarshal([]byte(comment), &setter); err != nil {
		return doc.ErrorAt(node, `the setter comment %q is not JSON; write {"$imagepolicy": "namespace:name:tag"}`, comment)
	}
	parts := strings.Split(setter.Policy, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return doc.ErrorAt(node, "the setter comment names %q; write namespace:name, with :tag, :name or :digest behind it", setter.Policy)
	}
	image, ok := policies[parts[0]+":"+parts[1]]
	if !ok {
		return nil
	}
	value, err := partOf(image, parts[2:])
	if err != nil {
		return doc.ErrorAt(node, "%v", err)
	}
	return doc.Change(key, node, value)
}

// partOf is the part of an image that a setter comment asks for.
func partOf(image environments.Image, part []string) (string, error) {
	value := image.String()
	if len(part) == 1 {
		switch part[0] {
		case "tag":
			value = image.Tag
		case "name":
			value = image.Repository
		case "digest":
			value = string(image.Digest)
		default:
			return "", fmt.Errorf("the setter comment asks for %q; there are tag, name and digest", part[0])
		}
	}
	if value == "" {
		return "", fmt.Errorf("the setter comment asks for the %s, which is not known of %s", part[0], image)
	}
	return value, nil
}

// SetPath sets one value of a YAML file, such as a tag in the values of a
// HelmRelease. pointer is a JSON Pointer (RFC 6901), as in
// /spec/values/image/tag; the value must be there already, a single one in the
// file's documents. Every other byte stays.
func SetPath(files fs.FS, file, pointer, value string) ([]File, error) {
	src, err := fs.ReadFile(files, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	doc, err := yamledit.Parse(file, src)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(pointer, "/") {
		return nil, fmt.Errorf("%s: the path %q is not a JSON Pointer, which begins with a slash", file, pointer)
	}
	var key, found *yaml.Node
	for _, root := range doc.Roots {
		k, node := yamledit.Follow(root, pointer)
		if node == nil {
			continue
		}
		if found != nil {
			return nil, doc.ErrorAt(node, "%s is in more than one document of the file", pointer)
		}
		key, found = k, node
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("%s: there is no %s", file, pointer)
	case found.Kind != yaml.ScalarNode && found.Kind != yaml.AliasNode:
		return nil, doc.ErrorAt(found, "%s is a list or a map, not a value", pointer)
	}
	if err := doc.Change(key, found, value); err != nil {
		return nil, err
	}
	if !doc.Edited() {
		return nil, nil
	}
	content, err := doc.Checked()
	if err != nil {
		return nil, err
	}
	return []File{{Path: file, Content: content}}, nil
}
