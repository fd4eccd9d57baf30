// Package chart draws a trial for a terminal: what each check saw, how the
// evidence against the canary grew, and what came of it.
package chart

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// width is how many characters a line of the chart has at most.
const width = 60

// clock is how times of day are written; they are in UTC.
const clock = "15:04:05"

// Write draws the checks of a verdict in their order, from the state that the
// verdict was given on.
func Write(w io.Writer, state analysis.State, v analysis.Verdict) error {
	for _, check := range v.Checks {
		if _, err := io.WriteString(w, one(check, history(state, check.Name))); err != nil {
			return err
		}
	}
	return nil
}

func history(state analysis.State, check string) []analysis.Point {
	for _, c := range state.Checks {
		if c.Name == check {
			return c.History.Points
		}
	}
	return nil
}

// one is one check's part of the chart.
func one(v analysis.CheckVerdict, points []analysis.Point) string {
	var b strings.Builder
	decides := ""
	if v.DryRun {
		decides = ", dry run"
	}
	fmt.Fprintf(&b, "%s (%s%s): %s\n  %s\n", v.Name, v.Kind, decides, v.Outcome, v.Message)
	if len(points) == 0 {
		return b.String()
	}
	cells := condense(points, width)
	switch v.Kind {
	case analysis.KindRatio, analysis.KindLatency:
		b.WriteString(comparison(v, cells))
	default:
		b.WriteString(numbers(v, cells))
	}
	from, to := points[0].At.UTC(), points[len(points)-1].At.UTC()
	fmt.Fprintf(&b, "            %s to %s UTC, %d looks\n", from.Format(clock), to.Format(clock), looks(points))
	return b.String()
}

// comparison draws both arms' failures and the evidence; the evidence is in
// logarithms, and a full bar is where the check fails.
func comparison(v analysis.CheckVerdict, cells []analysis.Point) string {
	var evidence, stable, canary []float64
	var most float64
	for _, c := range cells {
		evidence = append(evidence, c.LogEvidence)
		stable, canary = append(stable, c.Stable.Rate()), append(canary, c.Canary.Rate())
		most = max(most, c.Stable.Rate(), c.Canary.Rate())
	}
	scale := fmt.Sprintf("a full bar is %.3g%%", 100*most)
	text := ""
	if v.Limit > 1 {
		text = fmt.Sprintf("  evidence  %s  E is %.3g, a full bar is %.3g, where it fails\n", bars(evidence, 0, math.Log(v.Limit)), v.Evidence, v.Limit)
	}
	if v.Stable == nil || v.Canary == nil {
		return text
	}
	return text + fmt.Sprintf("  canary    %s  %s\n  stable    %s  %s; %s\n", bars(canary, 0, most), counts(*v.Canary), bars(stable, 0, most), counts(*v.Stable), scale)
}

func counts(c analysis.Counts) string {
	return fmt.Sprintf("%.0f of %.0f (%.3g%%)", c.Failed, c.Total, 100*c.Rate())
}

// numbers draws the one number that a check has at each look, and below it an x
// where a look failed.
func numbers(v analysis.CheckVerdict, cells []analysis.Point) string {
	values := make([]float64, 0, len(cells))
	failed := make([]rune, 0, len(cells))
	for _, c := range cells {
		values = append(values, c.Number)
		mark := ' '
		if c.Failed {
			mark = 'x'
		}
		failed = append(failed, mark)
	}
	low, high := min(0, slices.Min(values)), slices.Max(values)
	text := fmt.Sprintf("  number    %s  %.4g at last, a full bar is %.4g\n", bars(values, low, high), v.Number, high)
	if slices.Contains(failed, 'x') {
		text += "  failed    " + strings.TrimRight(string(failed), " ") + "\n"
	}
	return text
}

var levels = []rune("▁▂▃▄▅▆▇█")

// bars draws values between low and high; what is beyond is drawn at the edge.
func bars(values []float64, low, high float64) string {
	out := make([]rune, len(values))
	for i, v := range values {
		share := 0.0
		if high > low {
			share = (v - low) / (high - low)
		}
		out[i] = levels[int(math.Round(min(1, max(0, share))*float64(len(levels)-1)))]
	}
	return string(out)
}

// condense joins neighbouring points until at most n are left: counts add up,
// of the rest the last is kept, and the most evidence.
func condense(points []analysis.Point, n int) []analysis.Point {
	each := (len(points) + n - 1) / n
	var cells []analysis.Point
	for group := range slices.Chunk(points, max(each, 1)) {
		cell := group[0]
		for _, p := range group[1:] {
			cell.At, cell.Number = p.At, p.Number
			cell.Looks += p.Looks
			cell.Stable.Add(p.Stable)
			cell.Canary.Add(p.Canary)
			cell.LogEvidence = max(cell.LogEvidence, p.LogEvidence)
			cell.Failed = cell.Failed || p.Failed
		}
		cells = append(cells, cell)
	}
	return cells
}

func looks(points []analysis.Point) int {
	n := 0
	for _, p := range points {
		n += p.Looks
	}
	return n
}

// Span says from when to when something lasted, for people; a zero end is
// still open.
func Span(from, to time.Time) string {
	if to.IsZero() {
		return from.UTC().Format(time.RFC3339) + ", under way"
	}
	return fmt.Sprintf("%s, %s", from.UTC().Format(time.RFC3339), to.Sub(from).Round(time.Second))
}
