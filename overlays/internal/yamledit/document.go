// Package yamledit edits YAML files by splicing their bytes: the parser only
// says where things are, so that whatever is not edited stays as it was.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Document is a YAML file under edit.
type Document struct {
	// Path names the file in errors.
	Path string
	// Src is the file before the edit.
	Src []byte
	// Roots are the roots of the file's documents.
	Roots []*yaml.Node
	// lines are the offsets at which the lines begin.
	lines   []int
	splices []splice
	// set are the scalars that were set, for Checked.
	set map[*yaml.Node]string
}

// splice replaces src[from:to] by text.
type splice struct {
	from, to int
	text     string
}

// Parse reads a YAML file of any number of documents.
func Parse(path string, src []byte) (*Document, error) {
	if !utf8.Valid(src) {
		return nil, fmt.Errorf("%s: not UTF-8, save the file as UTF-8", path)
	}
	d := &Document{Path: path, Src: src, lines: lineStarts(src), set: map[*yaml.Node]string{}}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(node.Content) > 0 {
			d.Roots = append(d.Roots, node.Content[0])
		}
	}
}

// lineStarts finds the lines as the YAML parser counts them: LF, CR, CRLF, and
// the Unicode breaks NEL, LS and PS end a line; a byte order mark is no column.
func lineStarts(src []byte) []int {
	start := 0
	if bytes.HasPrefix(src, []byte("\xEF\xBB\xBF")) {
		start = 3
	}
	lines := []int{start}
	for i := start; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		i += size
		switch r {
		case '\r':
			if i < len(src) && src[i] == '\n' {
				i++
			}
			lines = append(lines, i)
		case '\n', '\u0085', '\u2028', '\u2029':
			lines = append(lines, i)
		}
	}
	return lines
}

// EOL is the line end that the file uses.
func (d *Document) EOL() string {
	if i := bytes.IndexByte(d.Src, '\n'); i > 0 && d.Src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// Offset is where a node begins.
func (d *Document) Offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(d.lines) {
		return 0, d.ErrorAt(n, "its place in the file is not known")
	}
	at := d.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(d.Src) {
			return 0, d.ErrorAt(n, "its place in the file is not known")
		}
		_, size := utf8.DecodeRune(d.Src[at:])
		at += size
	}
	return at, nil
}

// ErrorAt is an error that names the file and the line.
func (d *Document) ErrorAt(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", d.Path, n.Line, fmt.Sprintf(format, args...))
}

// Span is where a scalar (or an alias) stands, its quotes included, its anchor
// and tag left out.
func (d *Document) Span(n *yaml.Node) (from, to int, err error) {
	from, err = d.Offset(n)
	if err != nil {
		return 0, 0, err
	}
	from = d.skipProperties(from)
	if from >= len(d.Src) {
		if n.Value == "" {
			return from, from, nil
		}
		return 0, 0, d.ErrorAt(n, "the value is not where the parser says")
	}
	switch c := d.Src[from]; {
	case n.Kind == yaml.AliasNode:
		to = from + 1 + len(n.Value)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, d.ErrorAt(n, "the value is a block scalar (| or >), write it on one line")
	case c == '"' && n.Style&yaml.DoubleQuotedStyle != 0:
		to = endOfDoubleQuoted(d.Src, from)
	case c == '\'' && n.Style&yaml.SingleQuotedStyle != 0:
		to = endOfSingleQuoted(d.Src, from)
	case bytes.HasPrefix(d.Src[from:], []byte(n.Value)):
		to = from + len(n.Value)
	default:
		return 0, 0, d.ErrorAt(n, "the value goes over several lines, write it on one line")
	}
	if to > len(d.Src) {
		return 0, 0, d.ErrorAt(n, "the value has no end")
	}
	return from, to, nil
}

// skipProperties goes over an anchor and a tag in front of a value.
func (d *Document) skipProperties(at int) int {
	for at < len(d.Src) && (d.Src[at] == '&' || d.Src[at] == '!') {
		for at < len(d.Src) && !strings.ContainsRune(" \t\r\n", rune(d.Src[at])) {
			at++
		}
		for at < len(d.Src) && (d.Src[at] == ' ' || d.Src[at] == '\t') {
			at++
		}
	}
	return at
}

func endOfDoubleQuoted(src []byte, from int) int {
	for i := from + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(src) + 1
}

func endOfSingleQuoted(src []byte, from int) int {
	for i := from + 1; i < len(src); i++ {
		if src[i] != '\'' {
			continue
		}
		if i+1 < len(src) && src[i+1] == '\'' {
			i++
			continue
		}
		return i + 1
	}
	return len(src) + 1
}

// End is where a node ends, brackets of a flow collection included.
func (d *Document) End(n *yaml.Node) (int, error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		_, to, err := d.Span(n)
		return to, err
	}
	at, err := d.Offset(n)
	if err != nil {
		return 0, err
	}
	if len(n.Content) > 0 {
		if at, err = d.End(n.Content[len(n.Content)-1]); err != nil {
			return 0, err
		}
	} else {
		at = d.skipProperties(at) + 1
	}
	if n.Style&yaml.FlowStyle == 0 {
		return at, nil
	}
	for comment := false; at < len(d.Src); at++ {
		switch c := d.Src[at]; {
		case c == '\n':
			comment = false
		case comment:
		case c == '#':
			comment = true
		case c == ']' || c == '}':
			return at + 1, nil
		}
	}
	return 0, d.ErrorAt(n, "the list or map has no end")
}

// LineEnd is the offset after the line break that ends the line of at.
func (d *Document) LineEnd(at int) int {
	i, _ := slices.BinarySearch(d.lines, at+1)
	if i < len(d.lines) {
		return d.lines[i]
	}
	return len(d.Src)
}

// LineStart is the offset at which the line of at begins.
func (d *Document) LineStart(at int) int {
	i, _ := slices.BinarySearch(d.lines, at+1)
	return d.lines[max(i-1, 0)]
}

// InsertLines adds whole lines at an offset that begins a line or is the end.
func (d *Document) InsertLines(at int, lines ...string) {
	eol := d.EOL()
	text := strings.Join(lines, eol) + eol
	if at == len(d.Src) && at > 0 && d.lines[len(d.lines)-1] != at {
		text = eol + strings.TrimSuffix(text, eol)
	}
	d.Splice(at, at, text)
}

// SetScalar replaces a scalar's value, keeping its quotes, anchor and tag.
// key is the field's name, nil for an element of a list.
func (d *Document) SetScalar(key, n *yaml.Node, value string) error {
	d.set[n] = value
	if key != nil && n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 {
		// "newTag:" with nothing behind: the parser's place for nothing is of no use.
		_, to, err := d.Span(key)
		if err != nil {
			return err
		}
		colon := bytes.IndexByte(d.Src[to:], ':')
		if colon < 0 {
			return d.ErrorAt(key, "the key %s has no colon", key.Value)
		}
		at := to + colon + 1
		d.Splice(at, at, " "+PlainOrQuoted(value))
		return nil
	}
	from, to, err := d.Span(n)
	if err != nil {
		return err
	}
	text := PlainOrQuoted(value)
	switch {
	case n.Kind == yaml.AliasNode:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		text = doubleQuoted(value)
	case n.Style&yaml.SingleQuotedStyle != 0:
		text = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	d.Splice(from, to, text)
	return nil
}

// PlainOrQuoted leaves a string bare where every YAML reader takes it for a
// string, and quotes it otherwise: a tag 1.10 is a number to YAML.
func PlainOrQuoted(value string) string {
	if value == "" || strings.ContainsAny(value, "{}[]#&*!|>'\"%@`,?\\\n\r\t") ||
		strings.Contains(value, ": ") || strings.HasSuffix(value, ":") ||
		strings.HasPrefix(value, "-") || strings.TrimSpace(value) != value {
		return doubleQuoted(value)
	}
	var decoded map[string]any
	if err := sigsyaml.Unmarshal([]byte("value: "+value+"\n"), &decoded); err != nil || decoded["value"] != any(value) {
		return doubleQuoted(value)
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(value), &node); err != nil || len(node.Content) != 1 || node.Content[0].ShortTag() != "!!str" {
		return doubleQuoted(value)
	}
	return value
}

// doubleQuoted writes a string as a YAML double-quoted scalar.
func doubleQuoted(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Splice replaces the bytes between two offsets.
func (d *Document) Splice(from, to int, text string) {
	d.splices = append(d.splices, splice{from: from, to: to, text: text})
}

// Lines are the offsets at which the lines begin.
func (d *Document) Lines() []int { return d.lines }

// Edited says whether there is anything to write.
func (d *Document) Edited() bool { return len(d.splices) > 0 }

// Bytes is the file with all splices applied.
func (d *Document) Bytes() ([]byte, error) {
	slices.SortStableFunc(d.splices, func(a, b splice) int { return a.from - b.from })
	out := make([]byte, 0, len(d.Src)+256)
	at := 0
	for _, s := range d.splices {
		if s.from < at || s.to < s.from || s.to > len(d.Src) {
			return nil, fmt.Errorf("%s: the fields to edit overlap; write them in plain block style, one field a line", d.Path)
		}
		out = append(out, d.Src[at:s.from]...)
		out = append(out, s.text...)
		at = s.to
	}
	return append(out, d.Src[at:]...), nil
}

// Field finds a field that a map states itself; merged maps are not looked into.
func Field(node *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name && node.Content[i].Kind == yaml.ScalarNode {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}
