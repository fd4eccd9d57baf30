// Package usage compares what a pod of the canary uses of a machine with what
// one of stable does. It is pure: the caller brings the medians.
package usage

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// most bounds the ratio that is shown, so that it is a number also where stable
// uses next to nothing.
const most = 1e6

// DefaultRatio is how many times stable's median the canary's may be.
const DefaultRatio = 2.0

// Limits of a resources check; at least one of CPU and Memory is set.
type Limits struct {
	// CPU in cores, from a counter of seconds.
	CPU *Bound `json:"cpu,omitempty"`
	// Memory in bytes, from a gauge.
	Memory *Bound `json:"memory,omitempty"`
	// Failing of the last Of samples over a bound fail the check; 0 means the
	// judge's default.
	Failing int `json:"failing,omitempty"`
	Of      int `json:"of,omitempty"`
}

// Bound says how much more a pod of the canary may use.
type Bound struct {
	// Ratio to stable's median that a sample must not be above; 0 means
	// DefaultRatio.
	Ratio float64 `json:"ratio,omitempty"`
	// IgnoreBelow is what a pod may use whatever stable does, in cores or bytes.
	IgnoreBelow float64 `json:"ignoreBelow,omitempty"`
	// Series is a PromQL selector of the containers' counter or gauge; it may
	// hold placeholders. What tells the arms apart is added to it.
	Series string `json:"series"`
}

// Validate says what is wrong with the limits, naming the field and its value.
func (l Limits) Validate() error {
	if l.CPU == nil && l.Memory == nil {
		return errors.New("resources has neither cpu nor memory; set at least one")
	}
	return errors.Join(l.CPU.validate("cpu"), l.Memory.validate("memory"))
}

func (b *Bound) validate(field string) error {
	switch {
	case b == nil:
		return nil
	case b.Series == "":
		return fmt.Errorf("resources.%s.series is empty; give the selector of the containers' series", field)
	case b.Ratio < 0 || math.IsNaN(b.Ratio):
		return fmt.Errorf("resources.%s.ratio is %g; it must be above 0", field, b.Ratio)
	case b.IgnoreBelow < 0 || math.IsNaN(b.IgnoreBelow):
		return fmt.Errorf("resources.%s.ignoreBelow is %g; it must not be negative", field, b.IgnoreBelow)
	}
	return nil
}

func (b *Bound) ratio() float64 {
	if b.Ratio > 0 {
		return b.Ratio
	}
	return DefaultRatio
}

// Seen is what one look measured: each field that the Limits bound.
type Seen struct {
	CPU    *Medians `json:"cpu,omitempty"`
	Memory *Medians `json:"memory,omitempty"`
}

// Medians are of what one pod of each arm uses, in cores or bytes.
type Medians struct {
	Canary float64 `json:"c"`
	Stable float64 `json:"s"`
}

// Covers is true where everything that is bounded was measured, in numbers.
func (s Seen) Covers(l Limits) bool {
	return (l.CPU == nil || s.CPU.valid()) && (l.Memory == nil || s.Memory.valid())
}

func (m *Medians) valid() bool {
	return m != nil && m.Canary >= 0 && m.Stable >= 0 && !math.IsInf(m.Canary, 0) && !math.IsInf(m.Stable, 0)
}

// Finding is the judgement of one sample.
type Finding struct {
	Failed bool
	// Number is how many times stable's median the canary's is, of the resource
	// that the message begins with; Bound is what it may be.
	Number, Bound float64
	Message       string
}

// Assess judges one sample. A pod of the canary may use Ratio times what one of
// stable does, and IgnoreBelow in any case. Where one resource is over its bound
// the finding is of it, else of the one that comes nearest to its bound.
func Assess(l Limits, s Seen) Finding {
	var found []Finding
	if l.CPU != nil && s.CPU.valid() {
		found = append(found, l.CPU.assess("CPU", *s.CPU, Cores))
	}
	if l.Memory != nil && s.Memory.valid() {
		found = append(found, l.Memory.assess("memory", *s.Memory, Bytes))
	}
	if len(found) == 0 {
		return Finding{Message: "nothing was measured"}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(failedFirst(a, b), -cmp.Compare(a.Number/a.Bound, b.Number/b.Bound))
	})
	worst := found[0]
	for _, f := range found[1:] {
		worst.Message += "; " + f.Message
	}
	return worst
}

func failedFirst(a, b Finding) int {
	switch {
	case a.Failed == b.Failed:
		return 0
	case a.Failed:
		return -1
	}
	return 1
}

func (b *Bound) assess(what string, m Medians, text func(float64) string) Finding {
	f := Finding{Bound: b.ratio(), Failed: m.Canary > b.ratio()*m.Stable && m.Canary > b.IgnoreBelow}
	times := "stable nothing"
	switch {
	case m.Stable > 0:
		f.Number = min(m.Canary/m.Stable, most)
		number := short(f.Number)
		if f.Failed && number == short(f.Bound) {
			number = "just over " + number
		}
		times = fmt.Sprintf("stable %s (%s times, at most %s)", text(m.Stable), number, short(f.Bound))
	case m.Canary > 0:
		// A ratio to nothing has no number; one over the bound is drawn.
		f.Number = f.Bound + 1
	}
	f.Message = fmt.Sprintf("%s %s a pod, %s", what, text(m.Canary), times)
	if m.Canary > b.ratio()*m.Stable && !f.Failed {
		f.Message += fmt.Sprintf(", ignored up to %s", text(b.IgnoreBelow))
	}
	return f
}

// Cores writes an amount of CPU for people: "1.5 cores", "250m".
func Cores(cores float64) string {
	if cores >= 1 {
		return short(cores) + " cores"
	}
	return short(cores*1000) + "m"
}

// Bytes writes an amount of memory for people: "412 MiB".
func Bytes(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for bytes >= 1024 && unit < len(units)-1 {
		bytes, unit = bytes/1024, unit+1
	}
	return short(bytes) + " " + units[unit]
}

// short writes a number with about three digits: "412", "24.5", "2.3", "0.04".
func short(n float64) string {
	digits := 0
	switch {
	case n < 0.1:
		return strconv.FormatFloat(n, 'g', 2, 64)
	case n < 100:
		digits = 1
	}
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', digits, 64), ".0")
}

// Median of some numbers, which it sorts; false where there are none.
func Median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid], true
	}
	return values[mid-1] + (values[mid]-values[mid-1])/2, true
}
