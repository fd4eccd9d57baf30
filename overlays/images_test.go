package overlays_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// TestSetImages edits each testdata/images/CASE/before.NAME with the references
// in CASE/images, and expects after.NAME, byte for byte, or an error that holds
// the text of CASE/error.
func TestSetImages(t *testing.T) {
	cases, err := filepath.Glob("testdata/images/*")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) { goldenEdit(t, dir) })
	}
}

func goldenEdit(t *testing.T, dir string) {
	before, err := filepath.Glob(filepath.Join(dir, "before.*"))
	if err != nil || len(before) != 1 {
		t.Fatalf("want one before.*, got %v, %v", before, err)
	}
	name := strings.TrimPrefix(filepath.Base(before[0]), "before.")
	content := read(t, before[0])
	files := fstest.MapFS{"overlays/dev/" + name: {Data: content}}
	images := parseImages(t, string(read(t, filepath.Join(dir, "images"))))

	changed, err := overlays.SetImages(files, "overlays/dev", images)
	if want, readErr := os.ReadFile(filepath.Join(dir, "error")); readErr == nil {
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(string(want))) {
			t.Fatalf("want an error with %q, got %v", want, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	got := content
	for _, file := range changed {
		if file.Path != "overlays/dev/"+name {
			t.Errorf("changed %s, want only the kustomization", file.Path)
		}
		got = file.Content
	}
	if diff := cmp.Diff(string(read(t, filepath.Join(dir, "after."+name))), string(got)); diff != "" {
		t.Errorf("edited file (-want +got):\n%s", diff)
	}
	if len(changed) > 0 && string(got) == string(content) {
		t.Error("a file was returned although nothing changed")
	}
	expectImages(t, name, got, images)
	again, err := overlays.SetImages(fstest.MapFS{"overlays/dev/" + name: {Data: got}}, "overlays/dev", images)
	if err != nil || len(again) != 0 {
		t.Errorf("the same edit again: got %d files, %v, want nothing to do", len(again), err)
	}
}

// expectImages reads the images back.
func expectImages(t *testing.T, name string, content []byte, want []environments.Image) {
	t.Helper()
	var repositories []string
	for _, image := range want {
		repositories = append(repositories, image.Repository)
	}
	got, err := overlays.Images(fstest.MapFS{name: {Data: content}}, ".", repositories)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images read back (-want +got):\n%s", diff)
	}
}

func TestRestorePutsBackWhatWas(t *testing.T) {
	const was = "images:\n- name: a/b\n  newTag: v1\n"
	release := environments.Image{Repository: "a/b", Tag: "v2", Digest: environments.Digest("sha256:" + strings.Repeat("a", 64))}
	files := fstest.MapFS{"kustomization.yaml": {Data: []byte(was)}}
	previous, err := overlays.Images(files, ".", []string{"a/b", "c/d"})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := overlays.SetImages(files, ".", []environments.Image{release})
	if err != nil {
		t.Fatal(err)
	}
	// Another edit in the meantime stays.
	content := string(changed[0].Content) + "namespace: since\n"
	restored, err := overlays.Restore(fstest.MapFS{"kustomization.yaml": {Data: []byte(content)}}, ".", previous)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was+"namespace: since\n", string(restored[0].Content)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

func TestKustomizationIsFound(t *testing.T) {
	tests := map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"none":  {fstest.MapFS{"dev/x.yaml": {}}, "dev: no kustomization.yaml"},
		"two":   {fstest.MapFS{"dev/kustomization.yaml": {}, "dev/Kustomization": {}}, "both kustomization.yaml and Kustomization are there"},
		"empty": {fstest.MapFS{"dev/kustomization.yaml": {}}, "dev/kustomization.yaml: a kustomization is one YAML map"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := overlays.Images(test.files, "dev", nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, got %v", test.want, err)
			}
		})
	}
}

// FuzzSetImages: whatever the file, the edit gives an error or a file that
// reads back as intended.
func FuzzSetImages(f *testing.F) {
	seeds, err := filepath.Glob("testdata/images/*/before.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		content, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	images := []environments.Image{{Repository: "ghcr.io/acme/worker", Tag: "1.10"}}
	f.Fuzz(func(t *testing.T, content []byte) {
		changed, err := overlays.SetImages(fstest.MapFS{"kustomization.yaml": {Data: content}}, ".", images)
		if err != nil || len(changed) == 0 {
			return
		}
		got, err := overlays.Images(fstest.MapFS{"kustomization.yaml": {Data: changed[0].Content}}, ".", []string{"ghcr.io/acme/worker"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(images, got); diff != "" {
			t.Errorf("images of %q (-want +got):\n%s", changed[0].Content, diff)
		}
	})
}

func parseImages(t *testing.T, text string) []environments.Image {
	t.Helper()
	var images []environments.Image
	for line := range strings.Lines(text) {
		image, err := environments.ParseImage(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, image)
	}
	return images
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := fs.ReadFile(os.DirFS("."), filepath.ToSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
