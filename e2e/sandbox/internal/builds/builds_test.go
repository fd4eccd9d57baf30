package builds

import (
	"os"
	"path/filepath"
	"testing"
)

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
