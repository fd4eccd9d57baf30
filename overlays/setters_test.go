package overlays_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

var setterDigest = environments.Digest("sha256:" + strings.Repeat("d", 64))

func TestSetPolicies(t *testing.T) {
	policies := map[string]environments.Image{
		"flux-system:web":    {Repository: "ghcr.io/acme/web", Tag: "1.20", Digest: setterDigest},
		"flux-system:worker": {Repository: "ghcr.io/acme/worker", Tag: "v2"},
	}
	tests := map[string]struct{ before, after, err string }{
		"whole reference": {
			before: "a: 1\nimage: ghcr.io/acme/worker:v1 # {\"$imagepolicy\": \"flux-system:worker\"}\n# end\n",
			after:  "a: 1\nimage: ghcr.io/acme/worker:v2 # {\"$imagepolicy\": \"flux-system:worker\"}\n# end\n",
		},
		"parts": {
			before: "---\nimage:\n  repository: 'old/web' # {\"$imagepolicy\": \"flux-system:web:name\"}\r\n  tag: v1 # {\"$imagepolicy\": \"flux-system:web:tag\"}\n  digest: \"\" # {\"$imagepolicy\": \"flux-system:web:digest\"}\n---\nlist:\n- v1 # {\"$imagepolicy\": \"flux-system:worker:tag\"}\n- v1\n",
			after:  "---\nimage:\n  repository: 'ghcr.io/acme/web' # {\"$imagepolicy\": \"flux-system:web:name\"}\r\n  tag: \"1.20\" # {\"$imagepolicy\": \"flux-system:web:tag\"}\n  digest: \"" + string(setterDigest) + "\" # {\"$imagepolicy\": \"flux-system:web:digest\"}\n---\nlist:\n- v2 # {\"$imagepolicy\": \"flux-system:worker:tag\"}\n- v1\n",
		},
		"another's policy": {before: "tag: v1 # {\"$imagepolicy\": \"flux-system:other:tag\"}\n"},
		"up to date":       {before: "tag: v2 # {\"$imagepolicy\": \"flux-system:worker:tag\"}\n"},
		"no digest":        {before: "digest: x # {\"$imagepolicy\": \"flux-system:worker:digest\"}\n", err: "dev/a.yaml:1: the setter comment asks for the digest"},
		"not JSON":         {before: "tag: x # {\"$imagepolicy\" \"flux-system:worker\"}\n", err: "is not JSON"},
		"unknown part":     {before: "tag: x # {\"$imagepolicy\": \"flux-system:worker:label\"}\n", err: `asks for "label"`},
		"anchor in use":    {before: "a: &t v1 # {\"$imagepolicy\": \"flux-system:worker:tag\"}\nb: *t\n", err: "holds the anchor &t"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := tree(map[string]string{"dev/a.yaml": test.before, "dev/b.txt": test.before, "prod/a.yaml": test.before})
			changed, err := overlays.SetPolicies(files, "dev", policies)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("want an error with %q, got %v", test.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []overlays.File
			if test.after != "" {
				want = []overlays.File{{Path: "dev/a.yaml", Content: []byte(test.after)}}
			}
			if diff := cmp.Diff(want, changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetPath(t *testing.T) {
	const release = "# values\nspec:\n  values:\n    image: {tag: v1, \"a/b\": x}   # flow\n    list:\n    - name: web\n      tag: '1.0'\n    empty:\n---\nother: true\n"
	tests := map[string]struct{ pointer, value, old, fresh, err string }{
		"flow":         {pointer: "/spec/values/image/tag", value: "v2", old: "tag: v1", fresh: "tag: v2"},
		"escaped":      {pointer: "/spec/values/image/a~1b", value: "z", old: `"a/b": x`, fresh: `"a/b": z`},
		"list":         {pointer: "/spec/values/list/0/tag", value: "1.1", old: "'1.0'", fresh: "'1.1'"},
		"empty":        {pointer: "/spec/values/empty", value: "no", old: "empty:", fresh: `empty: "no"`},
		"second":       {pointer: "/other", value: "text: with colon", old: "other: true", fresh: `other: "text: with colon"`},
		"same":         {pointer: "/spec/values/image/tag", value: "v1"},
		"not there":    {pointer: "/spec/values/none", value: "x", err: "hr.yaml: there is no /spec/values/none"},
		"not a value":  {pointer: "/spec/values", value: "x", err: "is a list or a map"},
		"beyond":       {pointer: "/spec/values/list/1", value: "x", err: "there is no"},
		"no pointer":   {pointer: "spec.values", value: "x", err: "not a JSON Pointer"},
		"below scalar": {pointer: "/other/x", value: "x", err: "there is no"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed, err := overlays.SetPath(tree(map[string]string{"hr.yaml": release}), "hr.yaml", test.pointer, test.value)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("want an error with %q, got %v", test.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := release
			if len(changed) > 0 {
				got = string(changed[0].Content)
			}
			if diff := cmp.Diff(strings.Replace(release, test.old, test.fresh, 1), got); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
}
