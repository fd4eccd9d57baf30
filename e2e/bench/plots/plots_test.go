package plots

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/e2e/bench/figure"
)

func TestTableIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guarantees.md")
	page := "before\n" + tableBegins + "\nold\n" + tableEnds + "\nafter\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := table([]figure.Figure{figure.New("analysis.x", 0.02, "share", 2000).Max(0.01).Between(0.015, 0.025)})
	for range 2 {
		if err := writeTable(path, rows); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + tableBegins + "\n\n" + rows + "\n" + tableEnds + "\nafter\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(rows, "2.00% | 1.50% to 2.50% | <= 1.00% (**missed**) | 2000 |") {
		t.Errorf("the row does not say what was missed:\n%s", rows)
	}
}

func TestTableNeedsItsMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guarantees.md")
	if err := os.WriteFile(path, []byte("a page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeTable(path, "rows"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the page", err)
	}
}

// TestPageHasMarks sees that "make plots" can write into the real page.
func TestPageHasMarks(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, found := bytes.Cut(page, []byte(tableBegins)); !found || !bytes.Contains(rest, []byte(tableEnds)) {
		t.Error("docs/guarantees.md lacks the marks of the table")
	}
}

func TestPlotsAreTheSameEachTime(t *testing.T) {
	var pictures [2][]byte
	for i := range pictures {
		dir := t.TempDir()
		picture, err := evidence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := picture.save(dir, "evidence.svg"); err != nil {
			t.Fatal(err)
		}
		if pictures[i], err = os.ReadFile(filepath.Join(dir, "evidence.svg")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(pictures[0], pictures[1]) {
		t.Error("two drawings of the same seeds differ")
	}
	if !bytes.Contains(pictures[0], []byte("bad: 0.5% from minute 5 on")) {
		t.Error("the picture has no legend")
	}
}
