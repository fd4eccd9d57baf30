package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxExpanded bounds how many nodes the aliases of one text may stand for beyond
// what is written out. A few hundred bytes of aliases of aliases stand for more
// than any memory holds, and kustomize puts the nodes in their place.
const MaxExpanded = 100_000

// maxNested bounds how deep YAML within the texts of YAML is looked through.
const maxNested = 3

// errExpands: the aliases stand for too much.
var errExpands = fmt.Errorf("its YAML aliases stand for more than %d nodes; write out what they repeat, or repeat less", MaxExpanded)

// CheckAliases refuses a text whose aliases stand for too many nodes. What is no
// YAML is none of its business.
func CheckAliases(text []byte) error { return checkAliases(text, 0) }

func checkAliases(text []byte, nested int) error {
	if nested > maxNested || !bytes.ContainsRune(text, '*') || !bytes.ContainsRune(text, '&') {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			// The end of the text, or no YAML.
			return nil //nolint:nilerr // kustomize says what is wrong with it
		}
		w := expansion{nested: nested, sizes: map[*yaml.Node]int{}}
		if _, err := w.size(&document); err != nil {
			return err
		}
	}
}

// expansion counts the nodes of a document with its aliases in place.
type expansion struct {
	nested int
	// sizes of anchored nodes; negative while one is being counted.
	sizes map[*yaml.Node]int
	extra int
}

var errLoops = errors.New("a YAML alias stands for what holds it")

// size is how many nodes a node stands for.
func (e *expansion) size(node *yaml.Node) (int, error) {
	if node.Kind == yaml.AliasNode {
		size, err := e.size(node.Alias)
		if e.extra += size; err == nil && e.extra > MaxExpanded {
			err = errExpands
		}
		return size, err
	}
	if known, ok := e.sizes[node]; ok {
		if known < 0 {
			return 0, errLoops
		}
		return known, nil
	}
	e.sizes[node] = -1
	total := 1
	for _, child := range node.Content {
		size, err := e.size(child)
		if err != nil {
			return 0, err
		}
		total += size
	}
	if node.Kind == yaml.ScalarNode && strings.ContainsRune(node.Value, '\n') {
		// A patch that is written out in place.
		if err := checkAliases([]byte(node.Value), e.nested+1); err != nil {
			return 0, err
		}
	}
	e.sizes[node] = total
	return total, nil
}
