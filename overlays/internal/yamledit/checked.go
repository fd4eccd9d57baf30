package yamledit

import (
	"fmt"

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

// Aliased says whether some alias of the file refers to the node.
func (d *Document) Aliased(node *yaml.Node) bool {
	for _, root := range d.Roots {
		if aliases(root, node) {
			return true
		}
	}
	return false
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
