package images

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// tiny is a Builder over a project that has a program in place of ipfs-kit
// which compiles quickly.
func tiny(t *testing.T) *Builder {
	t.Helper()
	root := t.TempDir()
	folder := filepath.Join(root, "examples", "ipfs-kit")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		"go.mod":  "module example.com/tiny\n\ngo 1.26\n",
		"main.go": "package main\n\nvar version, variant = \"none\", \"none\"\n\nfunc main() { println(version, variant) }\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Builder{Root: root, Revision: "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}
}

func image(t *testing.T, b *Builder, version string, variant Variant) v1.Image {
	t.Helper()
	img, err := b.IPFSKit(t.Context(), version, variant)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

func TestPushedImageIsWhatWasBuilt(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/ipfs-kit:v1.2.3"
	built := image(t, tiny(t), "v1.2.3", Errors)
	pushed, err := Push(t.Context(), ref, built, PushOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, img); got != pushed.String() {
		t.Errorf("digest in the registry %s, told %s", got, pushed)
	}
	configuration, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := configuration.Platform().String(); got != "linux/amd64" {
		t.Errorf("platform %s, want linux/amd64", got)
	}
	want := v1.Config{User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/ipfs-kit"}, Labels: map[string]string{
		"org.opencontainers.image.title":    "ipfs-kit",
		"org.opencontainers.image.version":  "v1.2.3",
		"org.opencontainers.image.source":   "https://github.com/serin-gitops/serin",
		"org.opencontainers.image.created":  "2026-01-08T02:03:00Z",
		"org.opencontainers.image.revision": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
	}}
	if diff := cmp.Diff(want, configuration.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got := run(t, img); got != "v1.2.3 errors\n" {
		t.Errorf("the program in the image says %q", got)
	}
}

// run unpacks the image's only file and starts it.
func run(t *testing.T, img v1.Image) string {
	t.Helper()
	content := mutate.Extract(img)
	defer func() { _ = content.Close() }()
	reader := tar.NewReader(content)
	header, err := reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "ipfs-kit" || header.Mode != 0o755 || header.Uid != 0 {
		t.Errorf("file %s with mode %o of user %d", header.Name, header.Mode, header.Uid)
	}
	raw, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("a second file is in the image (%v)", err)
	}
	binary := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(binary, raw, 0o700); err != nil { //nolint:gosec // it has to be executable
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), binary).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

func TestDigestsAreReproducible(t *testing.T) {
	first, second := tiny(t), tiny(t) // two checkouts in two folders
	one := digestOf(t, image(t, first, "v1.0.0", Good))
	if again := digestOf(t, image(t, second, "v1.0.0", Good)); again != one {
		t.Errorf("the same image has digests %s and %s", one, again)
	}
	others := []string{one, digestOf(t, image(t, first, "v1.0.1", Good)), digestOf(t, image(t, first, "v1.0.0", Slow))}
	slices.Sort(others)
	if got := len(slices.Compact(others)); got != 3 {
		t.Errorf("three different images have %d digests", got)
	}
}

func TestFailuresNameTheirCause(t *testing.T) {
	broken := tiny(t)
	if err := os.WriteFile(filepath.Join(broken.Root, "examples/ipfs-kit/main.go"), []byte("package main\n\nfunc main() { x }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.IPFSKit(t.Context(), "v1", Good); err == nil || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("build: got error %v, want the compiler's words", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Push(cancelled, "127.0.0.1:1/x:v1", image(t, tiny(t), "v1", Good), PushOptions{}); err == nil ||
		!strings.Contains(err.Error(), "127.0.0.1:1/x:v1") {
		t.Errorf("push: got error %v, want one that names the reference", err)
	}
}

// TestSerialRealImages builds what the sandbox runs, from this checkout.
func TestSerialRealImages(t *testing.T) {
	b := &Builder{Root: projectRoot(t)}
	if _, err := b.IPFSKit(t.Context(), "v0.0.0-test", Good); err != nil {
		t.Errorf("ipfs-kit: %v", err)
	}
	if _, err := b.Load(t.Context(), "v0.0.0-test"); err != nil {
		t.Errorf("load: %v", err)
	}
}

// A person's command line is the one that nodes run where the machines are alike, and
// another elsewhere.
func TestCommandIsForThisMachine(t *testing.T) {
	b := tiny(t)
	p := program{name: "tiny", folder: "examples/ipfs-kit", target: "."}
	forNodes, err := b.compile(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	p.here = true
	here, err := b.compile(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if alike := nodes.Equals(machine()); (here == forNodes) != alike {
		t.Errorf("alike %v, and the programs are %s and %s", alike, here, forNodes)
	}
	if out, err := exec.Command(here).CombinedOutput(); err != nil || string(out) != "none none\n" {
		t.Errorf("it says %q: %v", out, err)
	}
}
