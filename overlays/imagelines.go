package overlays

import (
	"bytes"
	"slices"
	"strings"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays/internal/yamledit"
	"go.yaml.in/yaml/v3"
)

// newField is a field that an entry of images does not have yet.
type newField struct{ name, value string }

func (f newField) String() string { return f.name + ": " + yamledit.PlainOrQuoted(f.value) }

// imageFields are the fields of a new entry.
func imageFields(image environments.Image) []string {
	fields := []string{newField{"name", image.Repository}.String()}
	if image.Tag != "" {
		fields = append(fields, newField{"newTag", image.Tag}.String())
	}
	if image.Digest != "" {
		fields = append(fields, newField{"digest", string(image.Digest)}.String())
	}
	return fields
}

// addFields puts new fields into an entry, behind the last of its fields that
// belong before them.
func (k *kustomization) addFields(e *entry, fields []newField) error {
	if len(fields) == 0 {
		return nil
	}
	var last *yaml.Node
	for _, name := range []string{"newTag", "newName", "name"} {
		if _, last = yamledit.Field(e.node, name); last != nil {
			break
		}
	}
	if last == nil {
		return k.doc.ErrorAt(e.node, "the entry of images has its name by a merge only; write the name out")
	}
	at, err := k.doc.End(last)
	if err != nil {
		return err
	}
	if e.node.Style&yaml.FlowStyle != 0 {
		for _, f := range fields {
			k.doc.Splice(at, at, ", "+f.String())
		}
		return nil
	}
	indent := strings.Repeat(" ", e.node.Column-1)
	lines := make([]string, 0, len(fields))
	for _, f := range fields {
		lines = append(lines, indent+f.String())
	}
	k.doc.InsertLines(k.doc.LineEnd(at), lines...)
	return nil
}

// remove takes a field out of an entry, with its line.
func (k *kustomization) remove(e *entry, key, value *yaml.Node) error {
	from, err := k.doc.Offset(key)
	if err != nil {
		return err
	}
	to, err := k.doc.End(value)
	if err != nil {
		return err
	}
	src := k.doc.Src
	index := slices.Index(e.node.Content, key)
	switch {
	case e.node.Style&yaml.FlowStyle != 0:
		before := bytes.TrimRight(src[:from], " \t\r\n")
		after := bytes.TrimLeft(src[to:], " \t\r\n")
		switch {
		case bytes.HasSuffix(before, []byte(",")):
			from = len(before) - 1
		case bytes.HasPrefix(after, []byte(",")):
			to = len(src) - len(bytes.TrimLeft(after[1:], " \t\r\n"))
		}
	case len(bytes.TrimSpace(src[k.doc.LineStart(from):from])) == 0:
		from, to = k.doc.LineStart(from), k.doc.LineEnd(to)
	case index+2 < len(e.node.Content):
		// The field shares the line of the dash: the next one moves up.
		if to, err = k.doc.Offset(e.node.Content[index+2]); err != nil {
			return err
		}
		if bytes.ContainsRune(src[from:to], '#') {
			return k.doc.ErrorAt(key, "%s begins its entry and has a comment, so it cannot be taken out safely; write name first", key.Value)
		}
	default:
		return k.doc.ErrorAt(key, "%s is all that the entry of images has", key.Value)
	}
	k.doc.Splice(from, to, "")
	return nil
}

// add writes entries for images that the list does not have.
func (k *kustomization) add(images []environments.Image) error {
	switch {
	case len(images) == 0:
		return nil
	case k.list == nil:
		return k.addList(images)
	case k.list.Kind == yaml.ScalarNode:
		return k.fillNull(images)
	case k.list.Style&yaml.FlowStyle != 0:
		return k.addToFlow(images)
	}
	last := k.list.Content[len(k.list.Content)-1]
	end, err := k.doc.End(last)
	if err != nil {
		return err
	}
	var lines []string
	for _, image := range images {
		lines = append(lines, blockEntry(k.list.Column-1, last.Column-k.list.Column, image)...)
	}
	k.doc.InsertLines(k.doc.LineEnd(end), lines...)
	return nil
}

// blockEntry is an entry in block style; gap is from the dash to the fields.
func blockEntry(indent, gap int, image environments.Image) []string {
	gap = max(gap, 2)
	var lines []string
	for i, f := range imageFields(image) {
		lead := strings.Repeat(" ", gap)
		if i == 0 {
			lead = "-" + strings.Repeat(" ", gap-1)
		}
		lines = append(lines, strings.Repeat(" ", indent)+lead+f)
	}
	return lines
}

// addList writes the field images at the end of the file.
func (k *kustomization) addList(images []environments.Image) error {
	if k.root.Style&yaml.FlowStyle != 0 {
		return k.doc.ErrorAt(k.root, "the kustomization is written as {...}; write it in block style, one field a line")
	}
	indent := k.root.Column - 1
	lines := []string{strings.Repeat(" ", indent) + "images:"}
	for _, image := range images {
		lines = append(lines, blockEntry(indent, 2, image)...)
	}
	k.doc.InsertLines(k.endOfDocument(), lines...)
	return nil
}

// endOfDocument is the end of the file, or the line "..." that ends the document.
func (k *kustomization) endOfDocument() int {
	for i, start := range k.doc.Lines() {
		if i+1 < k.root.Line {
			continue
		}
		if rest := k.doc.Src[start:]; bytes.HasPrefix(rest, []byte("...")) && (len(rest) == 3 || strings.ContainsRune(" \t\r\n", rune(rest[3]))) {
			return start
		}
	}
	return len(k.doc.Src)
}

// fillNull writes the entries below an "images:" that has no value.
func (k *kustomization) fillNull(images []environments.Image) error {
	_, end, err := k.doc.Span(k.key)
	if err != nil {
		return err
	}
	if k.list.Value != "" {
		return k.doc.ErrorAt(k.list, "images is %s; write a list, or take the field out", k.list.Value)
	}
	var lines []string
	for _, image := range images {
		lines = append(lines, blockEntry(k.key.Column-1, 2, image)...)
	}
	k.doc.InsertLines(k.doc.LineEnd(end), lines...)
	return nil
}

// addToFlow writes the entries at the end of a list in brackets.
func (k *kustomization) addToFlow(images []environments.Image) error {
	end, err := k.doc.End(k.list)
	if err != nil {
		return err
	}
	at, lead := end-1, ""
	if n := len(k.list.Content); n > 0 {
		if at, err = k.doc.End(k.list.Content[n-1]); err != nil {
			return err
		}
		lead = ", "
	}
	for _, image := range images {
		text := lead + "{" + strings.Join(imageFields(image), ", ") + "}"
		k.doc.Splice(at, at, text)
		lead = ", "
	}
	return nil
}
