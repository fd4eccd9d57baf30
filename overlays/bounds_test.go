package overlays_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/serin-gitops/serin/overlays"
)

// A few small files can stand for a million objects: each level of bases takes
// the one below twice. One repository's rendering may not take all of the
// memory, nor the time of the others.
func TestRenderIsBounded(t *testing.T) {
	files := fstest.MapFS{
		"0/kustomization.yaml": {Data: []byte("resources: [all.yaml]\n")},
		"0/all.yaml":           {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")},
	}
	const levels = 14
	for level := 1; level <= levels; level++ {
		for _, side := range []string{"a", "b"} {
			files[fmt.Sprintf("%d%s/kustomization.yaml", level, side)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("namePrefix: %s-\nresources: [../%d]\n", side, level-1))}
		}
		files[fmt.Sprintf("%d/kustomization.yaml", level)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("resources: [../%da, ../%db]\n", level, level))}
	}
	_, err := overlays.Render(files, fmt.Sprint(levels))
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error %v, want one that says what was too much", err)
	}
	rendered, err := overlays.Render(files, "6")
	if err != nil || len(rendered.Objects) != 64 {
		t.Errorf("%d objects, want 64: %v", len(rendered.Objects), err)
	}
}

// bomb is a few hundred bytes of aliases of aliases that stand for 10^9 nodes.
func bomb(indent string) string {
	var text strings.Builder
	text.WriteString(indent + "x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n")
	for i := 1; i < 9; i++ {
		again := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i-1), 10), ",")
		fmt.Fprintf(&text, "%sx%d: &x%d [%s]\n", indent, i, i, again)
	}
	return text.String()
}

// Who can push to one deploy repository may not take all of the memory of a
// Serin that serves many.
func TestRenderRefusesAliasBombs(t *testing.T) {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	for _, c := range []struct{ name, kustomization, object string }{
		{"in an object", "resources: [c.yaml]\n", object + bomb("")},
		{"in its second document", "resources: [c.yaml]\n", object + "---\n" + strings.Replace(object, "c}", "d}", 1) + bomb("")},
		{"in a patch in place", "resources: [c.yaml]\npatches:\n- patch: |-\n    " + strings.ReplaceAll(strings.TrimSpace(object), "\n", "\n    ") + "\n" + bomb("    "), object},
		{"in the kustomization", "resources: [c.yaml]\n" + bomb(""), object},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := tree(map[string]string{"o/kustomization.yaml": c.kustomization, "o/c.yaml": c.object})
			if _, err := overlays.Render(files, "o"); err == nil || !strings.Contains(err.Error(), "aliases") {
				t.Errorf("error %v, want one that speaks of aliases", err)
			}
		})
	}
	plain := tree(map[string]string{
		"o/kustomization.yaml": "resources: [c.yaml]\n",
		"o/c.yaml":             object + "data: &d {a: b & c * d}\nbinaryData: *d\n",
	})
	if _, err := overlays.Render(plain, "o"); err != nil {
		t.Errorf("a plain alias: %v", err)
	}
}
