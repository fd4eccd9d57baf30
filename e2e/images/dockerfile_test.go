package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// stage is what the last stage of a Dockerfile says.
type stage struct {
	User, WorkingDir string
	Entrypoint       []string
	Labels           []string
	Files            []string
	// Others are instructions that the image built here has nothing for.
	Others []string
}

// finalStage reads the instructions after the last FROM.
func finalStage(t *testing.T, path string) stage {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found stage
	for line := range strings.SplitSeq(strings.ReplaceAll(string(raw), "\\\n", " "), "\n") {
		instruction, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		switch instruction {
		case "FROM":
			found = stage{}
		case "USER":
			found.User = rest
		case "WORKDIR":
			found.WorkingDir = rest
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &found.Entrypoint); err != nil {
				t.Fatalf("ENTRYPOINT %s: %v", rest, err)
			}
		case "COPY":
			found.Files = append(found.Files, words[len(words)-1])
		case "LABEL":
			for _, word := range words {
				label, _, _ := strings.Cut(word, "=")
				found.Labels = append(found.Labels, label)
			}
		case "", "#", "ARG":
		default:
			found.Others = append(found.Others, instruction)
		}
	}
	slices.Sort(found.Labels)
	slices.Sort(found.Files)
	return found
}

func TestDockerfileAndImageAreAlike(t *testing.T) {
	configuration := configOf("serin", labels{version: "v1", revision: "abc", source: source, created: time.Unix(0, 0)})
	want := stage{
		User: configuration.User, WorkingDir: configuration.WorkingDir, Entrypoint: configuration.Entrypoint,
		Labels: slices.Sorted(maps.Keys(configuration.Labels)),
		Files:  []string{certificatesPath, "/serin"},
	}
	got := finalStage(t, filepath.Join(projectRoot(t), "Dockerfile"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Dockerfile (-image +Dockerfile):\n%s", diff)
	}
}

// TestSerinImageHoldsWhatTheDockerfileCopies builds a program of another
// project: what counts are the files in the image.
func TestSerinImageHoldsWhatTheDockerfileCopies(t *testing.T) {
	if _, err := os.Stat(certificatesPath); err != nil {
		t.Fatalf("this machine lacks CA certificates (apt-get install ca-certificates): %v", err)
	}
	b := tiny(t)
	folder := filepath.Join(b.Root, "cmd", "serin")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		filepath.Join(b.Root, "go.mod"): "module example.com/serin\n\ngo 1.26\n", filepath.Join(folder, "main.go"): "package main\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	img, err := b.Serin(t.Context(), "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(img)
	defer func() { _ = content.Close() }()
	got := []string{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, "/"+header.Name)
	}
	slices.Sort(got)
	want := finalStage(t, filepath.Join(projectRoot(t), "Dockerfile")).Files
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-Dockerfile +image):\n%s", diff)
	}
}
