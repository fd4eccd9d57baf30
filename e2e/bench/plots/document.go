package plots

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/serin-gitops/serin/e2e/bench/figure"
	"github.com/serin-gitops/serin/e2e/bench/judge"
)

// The marks in the document between which the table is written.
const (
	tableBegins = "<!-- The table is written by \"make plots\". -->"
	tableEnds   = "<!-- The table ends. -->"
)

// Document draws the plots into docs/img and writes the table into
// docs/guarantees.md.
func Document(ctx context.Context, docs string, runs int, progress io.Writer) error {
	images := filepath.Join(docs, "img")
	if err := os.MkdirAll(images, 0o750); err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		draw func(context.Context, int) (chart, error)
	}{{"evidence.svg", func(ctx context.Context, _ int) (chart, error) { return evidence(ctx) }}, {"detection.svg", detection}, {"false-rollbacks.svg", falseRollbacks}} {
		fmt.Fprintf(progress, "%s\n", one.name)
		picture, err := one.draw(ctx, runs)
		if err != nil {
			return err
		}
		if err := picture.save(images, one.name); err != nil {
			return err
		}
	}
	figures, err := judge.Simulate(ctx, runs, progress)
	if err != nil {
		return err
	}
	return writeTable(filepath.Join(docs, "guarantees.md"), table(figures))
}

// table is Markdown.
func table(figures []figure.Figure) string {
	var b strings.Builder
	b.WriteString("| figure | measured | 95% interval | promised | runs |\n|---|---|---|---|---|\n")
	for _, f := range figures {
		promise := f.Promise()
		if !f.Kept() {
			promise += " (**missed**)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %d |\n", f.Name, f.Text(), f.Interval(), promise, f.N)
	}
	return b.String()
}

// writeTable replaces what stands between the marks.
func writeTable(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s: the marks %q and %q are not there", path, tableBegins, tableEnds)
	}
	return os.WriteFile(path, []byte(before+tableBegins+"\n\n"+table+"\n"+tableEnds+after), 0o600)
}
