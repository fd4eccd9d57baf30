package yamledit

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Checked is the file with all splices applied, read again: nothing but the
// scalars that SetScalar was asked to set may differ from what was there.
func (d *Document) Checked() ([]byte, error) {
	edited, err := d.Bytes()
	if err != nil {
		return nil, err
	}
	after, err := Parse(d.Path, edited)
	if err != nil {
		return nil, fmt.Errorf("the edit would break the file: %w", err)
	}
	if len(after.Roots) != len(d.Roots) {
		return nil, fmt.Errorf("%s: the edit would change the number of documents", d.Path)
	}
	for i := range d.Roots {
		if err := d.compare(d.Roots[i], after.Roots[i]); err != nil {
			return nil, err
		}
	}
	return edited, nil
}

// compare walks both trees at once.
func (d *Document) compare(was, is *yaml.Node) error {
	value, edited := d.set[was]
	switch {
	case edited && (is.Kind != yaml.ScalarNode || is.Value != value):
		return d.ErrorAt(was, "the value would read %q after the edit, not %q", is.Value, value)
	case edited:
		return nil
	case was.Kind != is.Kind || was.Value != is.Value || was.ShortTag() != is.ShortTag() || was.Anchor != is.Anchor || len(was.Content) != len(is.Content):
		return d.ErrorAt(was, "the edit would change more than it should; write the value in plain style")
	}
	for i := range was.Content {
		if err := d.compare(was.Content[i], is.Content[i]); err != nil {
			return err
		}
	}
	return nil
}

// Change sets a value where it differs; an anchored one that others use is
// refused, for they would change as well.
func (d *Document) Change(key, node *yaml.Node, value string) error {
	if node.Value == value && node.ShortTag() == "!!str" {
		return nil
	}
	for _, root := range d.Roots {
		if aliases(root, node) {
			return d.ErrorAt(node, "the value holds the anchor &%s, and what refers to it would change as well; write the values out", node.Anchor)
		}
	}
	return d.SetScalar(key, node, value)
}

func aliases(at, node *yaml.Node) bool {
	if at.Kind == yaml.AliasNode {
		return at.Alias == node
	}
	for _, child := range at.Content {
		if aliases(child, node) {
			return true
		}
	}
	return false
}

// Follow goes down a JSON Pointer (RFC 6901); key is nil for an element of a
// list, value for what is not there.
func Follow(node *yaml.Node, pointer string) (key, value *yaml.Node) {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch node.Kind {
		case yaml.MappingNode:
			key, node = Field(node, step)
		case yaml.SequenceNode:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node.Content) {
				return nil, nil
			}
			key, node = nil, node.Content[i]
		default:
			return nil, nil
		}
		if node == nil {
			return nil, nil
		}
	}
	return key, node
}
