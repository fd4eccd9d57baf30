package overlays

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"regexp"
	"strings"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays/internal/confined"
	"github.com/serin-gitops/serin/overlays/internal/yamledit"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// The grammar of image references as the OCI distribution specification states
// it. What is written into a repository is checked, so that a registry cannot
// smuggle YAML into it.
var (
	repositoryPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/-]*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`)
)

// SetImages sets newTag and digest of the images in the kustomization of dir,
// and leaves every other byte of the file as it is. An entry belongs to an
// image when its newName, or without one its name, is the image's repository;
// where no entry does, one is added. An image without digest takes the digest
// out of its entry (kustomize would prefer it to the tag), one without tag the
// newTag. No file is returned where nothing is to be changed.
//
// What cannot be edited without touching more than the images is refused: an
// anchor that others use, an alias in place of the list or of an entry.
func SetImages(files fs.FS, dir string, images []environments.Image) ([]File, error) {
	for _, image := range images {
		if err := validImage(image); err != nil {
			return nil, err
		}
	}
	name, src, err := readKustomization(files, dir)
	if err != nil {
		return nil, err
	}
	k, err := parseKustomization(name, src)
	if err != nil {
		return nil, err
	}
	if err := k.set(images); err != nil {
		return nil, err
	}
	if !k.doc.Edited() {
		return nil, nil
	}
	after, err := k.doc.Bytes()
	if err != nil {
		return nil, err
	}
	if err := k.check(after, images); err != nil {
		return nil, err
	}
	return []File{{Path: name, Content: after}}, nil
}

// Restore is the edit of a rollback: it puts the images back that the overlay
// had before, and leaves all that was edited since then.
func Restore(files fs.FS, dir string, previous []environments.Image) ([]File, error) {
	return SetImages(files, dir, previous)
}

// Images reads what the kustomization of dir sets its images to, in the order
// of repositories; all of them in the file's order when repositories is nil. A
// repository that the kustomization says nothing about is left out.
func Images(files fs.FS, dir string, repositories []string) ([]environments.Image, error) {
	name, src, err := readKustomization(files, dir)
	if err != nil {
		return nil, err
	}
	k, err := parseKustomization(name, src)
	if err != nil {
		return nil, err
	}
	var all []environments.Image
	found := map[string]environments.Image{}
	for _, entry := range k.entries {
		image := environments.Image{
			Repository: entry.repository(),
			Tag:        entry.value("newTag"),
			Digest:     environments.Digest(entry.value("digest")),
		}
		if image.Tag == "" && image.Digest == "" {
			continue
		}
		all = append(all, image)
		found[image.Repository] = image
	}
	if repositories == nil {
		return all, nil
	}
	var chosen []environments.Image
	for _, repository := range repositories {
		if image, ok := found[repository]; ok {
			chosen = append(chosen, image)
		}
	}
	return chosen, nil
}

func validImage(image environments.Image) error {
	switch {
	case !repositoryPattern.MatchString(image.Repository):
		return fmt.Errorf("image %q: the repository is not a valid image name", image.Repository)
	case image.Tag == "" && image.Digest == "":
		return fmt.Errorf("image %q: neither tag nor digest is given", image.Repository)
	case image.Tag != "" && !tagPattern.MatchString(image.Tag):
		return fmt.Errorf("image %q: the tag %q is not valid, use up to 128 of A-Z a-z 0-9 _ . -", image.Repository, image.Tag)
	case image.Digest != "" && !digestPattern.MatchString(string(image.Digest)):
		return fmt.Errorf("image %q: the digest %q is not valid, write sha256:<64 hexadecimal digits>", image.Repository, image.Digest)
	}
	return nil
}

// readKustomization finds the one kustomization file of a directory.
func readKustomization(files fs.FS, dir string) (name string, content []byte, err error) {
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	for _, candidate := range confined.KustomizationNames {
		file := path.Join(dir, candidate)
		src, err := fs.ReadFile(files, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		if name != "" {
			return "", nil, fmt.Errorf("%s: both %s and %s are there, keep one", dir, path.Base(name), candidate)
		}
		if err := yamledit.CheckAliases(src); err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		name, content = file, src
	}
	if name == "" {
		return "", nil, fmt.Errorf("%s: no kustomization.yaml, kustomization.yml or Kustomization: %w", dir, fs.ErrNotExist)
	}
	return name, content, nil
}

// kustomization is a kustomization file under edit.
type kustomization struct {
	doc  *yamledit.Document
	root *yaml.Node
	// key and list are the field images; nil where the file has none.
	key, list *yaml.Node
	entries   []*entry
	// anchored are edited scalars that hold an anchor, for a clear error.
	anchored []*yaml.Node
}

// entry is one element of images.
type entry struct {
	node *yaml.Node
}

func parseKustomization(name string, src []byte) (*kustomization, error) {
	doc, err := yamledit.Parse(name, src)
	if err != nil {
		return nil, err
	}
	if len(doc.Roots) != 1 || doc.Roots[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: a kustomization is one YAML map, this file has %d documents", name, len(doc.Roots))
	}
	k := &kustomization{doc: doc, root: doc.Roots[0]}
	k.key, k.list = yamledit.Field(k.root, "images")
	if k.list == nil {
		return k, nil
	}
	switch {
	case k.list.Kind == yaml.AliasNode:
		return nil, doc.ErrorAt(k.list, "images is the alias *%s, which cannot be edited safely; write the list out", k.list.Value)
	case k.list.Kind == yaml.ScalarNode && k.list.Tag == "!!null":
		return k, nil
	case k.list.Kind != yaml.SequenceNode:
		return nil, doc.ErrorAt(k.list, "images is not a list")
	}
	for _, node := range k.list.Content {
		if node.Kind == yaml.AliasNode {
			return nil, doc.ErrorAt(node, "an entry of images is the alias *%s, which cannot be edited safely; write the entry out", node.Value)
		}
		if node.Kind != yaml.MappingNode {
			return nil, doc.ErrorAt(node, "an entry of images is not a map")
		}
		if err := uniqueKeys(doc, node); err != nil {
			return nil, err
		}
		k.entries = append(k.entries, &entry{node: node})
	}
	return k, nil
}

func uniqueKeys(doc *yamledit.Document, node *yaml.Node) error {
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		if seen[key.Value] {
			return doc.ErrorAt(key, "%s is there twice, keep one", key.Value)
		}
		seen[key.Value] = true
	}
	return nil
}

// value is a field's value as a reader sees it: aliases followed, merged maps
// included.
func (e *entry) value(name string) string { return lookup(e.node, name, 0) }

func lookup(node *yaml.Node, name string, depth int) string {
	if depth > 8 {
		return ""
	}
	if node.Kind == yaml.AliasNode {
		return lookup(node.Alias, name, depth+1)
	}
	if node.Kind == yaml.SequenceNode {
		for _, child := range node.Content {
			if v := lookup(child, name, depth+1); v != "" {
				return v
			}
		}
		return ""
	}
	if _, value := yamledit.Field(node, name); value != nil {
		return scalarValue(value)
	}
	if _, merged := yamledit.Field(node, "<<"); merged != nil {
		return lookup(merged, name, depth+1)
	}
	return ""
}

func scalarValue(node *yaml.Node) string {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}

// repository is the image that the entry gives: newName, or without it name.
func (e *entry) repository() string {
	if newName := e.value("newName"); newName != "" {
		return newName
	}
	return e.value("name")
}

// set splices all images in. Aliases come last: whether one is to be replaced
// depends on what its anchor has become.
func (k *kustomization) set(images []environments.Image) error {
	var missing []environments.Image
	edited := map[*yaml.Node]string{}
	for _, aliases := range []bool{false, true} {
		for _, image := range images {
			found := false
			for _, e := range k.entries {
				if e.repository() != image.Repository {
					continue
				}
				found = true
				if err := k.setEntry(e, image, aliases, edited); err != nil {
					return err
				}
			}
			if !found && !aliases {
				missing = append(missing, image)
			}
		}
	}
	return k.add(missing)
}

// setEntry edits the fields of one entry: those that are aliases, or the others.
func (k *kustomization) setEntry(e *entry, image environments.Image, aliases bool, edited map[*yaml.Node]string) error {
	var lines []newField
	for _, f := range []newField{{"newTag", image.Tag}, {"digest", string(image.Digest)}} {
		key, value := yamledit.Field(e.node, f.name)
		if value != nil && (value.Kind == yaml.AliasNode) != aliases {
			continue
		}
		switch {
		case value == nil && (aliases || f.value == e.value(f.name)):
		case value != nil && f.value == "" && scalarValue(value) == "":
		case value == nil:
			lines = append(lines, f)
		case f.value == "":
			if err := k.remove(e, key, value); err != nil {
				return err
			}
		default:
			current := scalarValue(value)
			if value.Kind == yaml.AliasNode {
				if to, ok := edited[value.Alias]; ok {
					current = to
				}
			}
			if current == f.value && (value.ShortTag() == "!!str" || value.Kind == yaml.AliasNode) {
				continue
			}
			if err := k.doc.SetScalar(key, value, f.value); err != nil {
				return err
			}
			edited[value] = f.value
			if value.Anchor != "" {
				k.anchored = append(k.anchored, value)
			}
		}
	}
	return k.addFields(e, lines)
}

// check reads the edited file again and compares it with what was intended:
// the last guard against an edit that changes anything else.
func (k *kustomization) check(after []byte, images []environments.Image) error {
	want, err := decodeKustomization(k.doc.Path, k.doc.Src)
	if err != nil {
		return err
	}
	got, err := decodeKustomization(k.doc.Path, after)
	if err != nil {
		return fmt.Errorf("the edit would break the file: %w", err)
	}
	want["images"] = intended(want["images"], images)
	if reflect.DeepEqual(want, got) {
		return nil
	}
	for _, node := range k.anchored {
		return k.doc.ErrorAt(node, "the value holds the anchor &%s, and what refers to it would change as well; write the values out", node.Anchor)
	}
	return fmt.Errorf("%s: images cannot be edited without changing other fields; write its entries in plain block style, one field a line", k.doc.Path)
}

func decodeKustomization(name string, src []byte) (map[string]any, error) {
	var decoded map[string]any
	if err := sigsyaml.Unmarshal(src, &decoded); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return decoded, nil
}

// intended is the decoded list images as it should read after the edit.
func intended(list any, images []environments.Image) []any {
	entries, _ := list.([]any)
	for _, image := range images {
		found := false
		for _, e := range entries {
			fields, _ := e.(map[string]any)
			repository, _ := fields["newName"].(string)
			if repository == "" {
				repository, _ = fields["name"].(string)
			}
			if fields == nil || repository != image.Repository {
				continue
			}
			found = true
			setOrDelete(fields, "newTag", image.Tag)
			setOrDelete(fields, "digest", string(image.Digest))
		}
		if !found {
			fields := map[string]any{"name": image.Repository}
			setOrDelete(fields, "newTag", image.Tag)
			setOrDelete(fields, "digest", string(image.Digest))
			entries = append(entries, fields)
		}
	}
	return entries
}

func setOrDelete(fields map[string]any, name, value string) {
	if value == "" {
		if current := fields[name]; current != nil && current != "" {
			delete(fields, name)
		}
		return
	}
	fields[name] = value
}
