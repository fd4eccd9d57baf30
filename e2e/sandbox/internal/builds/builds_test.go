package builds

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// required gives the versions that the module in a folder is built of.
func required(t *testing.T, dir string) map[string]string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	command.Dir = dir
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	type version struct{ Path, Version string }
	var module struct {
		Require []version
		Replace []struct{ Old, New version }
	}
	if err := json.Unmarshal(text, &module); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range module.Require {
		versions[r.Path] = r.Version
	}
	for _, r := range module.Replace {
		versions[r.Old.Path] = r.New.Version
	}
	return versions
}

// TestModulesAreShared states that the light sandbox's parts, the example and the
// tools of "make test" are built of the same versions of modules as Serin, so that
// what they share is compiled once: of another version nothing above it is.
func TestModulesAreShared(t *testing.T) {
	const root = "../../../../"
	own := required(t, root)
	for dir, least := range map[string]int{
		"e2e/tools/kubernetes": 20, "e2e/tools/coredns": 20, "examples/ipfs-kit": 20,
		"e2e/tools/golangci-lint": 20, "e2e/tools/controller-gen": 20, "e2e/tools/gotestsum": 3,
	} {
		shared := 0
		for path, version := range required(t, filepath.Join(root, dir)) {
			switch own[path] {
			case "":
			case version:
				shared++
			default:
				t.Errorf("%s requires %s %s, Serin %s: run \"go get %s@VERSION\" with the newer one in the folder of the older", dir, path, version, own[path], path)
			}
		}
		if shared < least {
			t.Errorf("%s shares %d modules with Serin, want at least %d", dir, shared, least)
		}
	}
}

func TestStampChangesWithSourcesSumsFlagsAndCompiler(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main")
	write("go.sum", "a")
	stamp := func(one Tool, compiler string) string {
		text, err := one.stamp(dir, compiler)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	base := Tool{Name: "x"}
	seen := map[string]string{stamp(base, "go1"): "base"}
	if seen[stamp(base, "go1")] == "" {
		t.Error("the stamp of the same input differs")
	}
	expectNew := func(what string, one Tool, compiler string) {
		t.Helper()
		text := stamp(one, compiler)
		if before := seen[text]; before != "" {
			t.Errorf("%s: same stamp as %s", what, before)
		}
		seen[text] = what
	}
	expectNew("compiler", base, "go2")
	expectNew("cgo", Tool{Name: "x", cgo: true}, "go1")
	expectNew("tags", Tool{Name: "x", tags: "sqlite"}, "go1")
	write("go.sum", "b")
	expectNew("go.sum", base, "go1")
	write("main.go", "package main // changed")
	expectNew("source", base, "go1")
}

func TestProfilesBuildTheirOwnTools(t *testing.T) {
	names := func(profile layout.Profile) string {
		var all []string
		for _, one := range For(profile) {
			all = append(all, one.Name)
		}
		return strings.Join(all, " ")
	}
	for profile, want := range map[layout.Profile]string{
		layout.Light:   "kubernetes coredns",
		layout.Full:    "kubernetes coredns gitea traefik source-controller kustomize-controller",
		layout.Servers: "prometheus victoria-metrics thanos mimir",
	} {
		if got := names(profile); got != want {
			t.Errorf("%s builds %s, want %s", profile, got, want)
		}
	}
}
