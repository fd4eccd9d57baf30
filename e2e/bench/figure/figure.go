// Package figure holds what a benchmark measured, prints it as a table and
// writes it for other programs.
package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
)

// Figure is one measured number.
type Figure struct {
	// Name is dotted, from the general to the special.
	Name string `json:"name"`
	// Value in Unit; shares are from 0 to 1 with the unit "share".
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// N is how many measurements or simulated runs it rests on.
	N int `json:"n"`
	// Low and High are a 95% confidence interval, where there is one.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// AtMost or AtLeast is what the project promises, where it does.
	AtMost  *float64 `json:"atMost,omitempty"`
	AtLeast *float64 `json:"atLeast,omitempty"`
}

// New is a figure that nothing is promised of.
func New(name string, value float64, unit string, n int) Figure {
	return Figure{Name: name, Value: value, Unit: unit, N: n}
}

// Max promises that the value is at most bound.
func (f Figure) Max(bound float64) Figure {
	f.AtMost = &bound
	return f
}

// Min promises that the value is at least bound.
func (f Figure) Min(bound float64) Figure {
	f.AtLeast = &bound
	return f
}

// Between adds a 95% confidence interval.
func (f Figure) Between(low, high float64) Figure {
	f.Low, f.High = &low, &high
	return f
}

// Kept says whether the promise is kept; a figure without one keeps it.
func (f Figure) Kept() bool {
	return (f.AtMost == nil || f.Value <= *f.AtMost) && (f.AtLeast == nil || f.Value >= *f.AtLeast)
}

// Promise is the bound as people write it, empty without one.
func (f Figure) Promise() string {
	switch {
	case f.AtMost != nil:
		return "<= " + text(*f.AtMost, f.Unit)
	case f.AtLeast != nil:
		return ">= " + text(*f.AtLeast, f.Unit)
	}
	return ""
}

// Text is the value with its unit.
func (f Figure) Text() string { return text(f.Value, f.Unit) }

// Interval is the confidence interval as people write it, empty without one.
func (f Figure) Interval() string {
	if f.Low == nil || f.High == nil {
		return ""
	}
	return text(*f.Low, f.Unit) + " to " + text(*f.High, f.Unit)
}

// text writes shares in percent and everything else in three digits or more.
func text(value float64, unit string) string {
	if unit == "share" {
		return strconv.FormatFloat(value*100, 'f', 2, 64) + "%"
	}
	digits := 3
	for limit := 1000.0; value >= limit && digits < 9; limit *= 10 {
		digits++
	}
	return strconv.FormatFloat(value, 'g', digits, 64) + " " + unit
}

// Print writes the figures as a table.
func Print(w io.Writer, figures []Figure) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FIGURE\tVALUE\t95% INTERVAL\tN\tPROMISED\t")
	for _, f := range figures {
		kept := ""
		if !f.Kept() {
			kept = "MISSED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", f.Name, f.Text(), f.Interval(), f.N, f.Promise(), kept)
	}
	return table.Flush()
}

// Write writes the figures as a JSON list, and makes the directory where it is
// missing.
func Write(path string, figures []Figure) error {
	encoded, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	if err := os.WriteFile(path, append(encoded, '\n'), 0o600); err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	return nil
}
