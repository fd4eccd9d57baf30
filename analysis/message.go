package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
)

// recentPoints of the history are quoted when the whole trial's figures hide
// that the canary turned bad late.
const recentPoints = 10

// failedMessage is the sentence for a check that failed on evidence.
func failedMessage(what string, t evidence.Test, r evidence.State, h History, reason Reason, logE float64) string {
	text := compare(what, r.Canary, r.Stable)
	if canary, stable := h.Recent(recentPoints); canary.Rate() > 2*r.Canary.Rate() {
		text += fmt.Sprintf("; lately %s, %s", share("canary", canary), share("stable", stable))
	}
	if reason == ReasonOverObjective {
		return fmt.Sprintf("%s: over the objective of %s with %s odds of being chance", text, percent(t.Objective), odds(logE))
	}
	if t.Tolerance != 1 {
		return fmt.Sprintf("%s: more than %s times worse with %s odds of being chance", text, number(t.Tolerance), odds(logE))
	}
	return fmt.Sprintf("%s: worse with %s odds of being chance", text, odds(logE))
}

// unproven is what is said of a canary that passes, and is not shown to be good.
func unproven(r evidence.State, t evidence.Test) string {
	if r.Canary.Failed >= 1 && r.Canary.Rate() > t.Worse*r.Stable.Rate() {
		return "worse in all, in too few windows to tell it from a burst or from chance"
	}
	return "no evidence that the canary is worse"
}

// compare gives both arms' figures: "canary 37 of 412 requests failed (9.0%),
// stable 2 of 7,801 (0.03%)".
func compare(what string, canary, stable Counts) string {
	return fmt.Sprintf("canary %s of %s requests %s (%s), %s",
		number(canary.Failed), number(canary.Total), what, percent(canary.Rate()), share("stable", stable))
}

func share(arm string, c Counts) string {
	return fmt.Sprintf("%s %s of %s (%s)", arm, number(c.Failed), number(c.Total), percent(c.Rate()))
}

// noun says what happened to a failed request.
func (c Check) noun() string {
	if c.Latency != nil {
		return "took over " + strconv.FormatFloat(c.Latency.Bound, 'g', 4, 64) + unit(c.Latency.Histogram)
	}
	return "failed"
}

// unit is that of a histogram, as its name ends in it
// (https://prometheus.io/docs/practices/naming/); none where it does not.
func unit(histogram string) string {
	name, _, _ := strings.Cut(histogram, "{")
	switch name = strings.TrimSuffix(strings.TrimSpace(name), "_bucket"); {
	case strings.HasSuffix(name, "_milliseconds"):
		return " ms"
	case strings.HasSuffix(name, "_seconds"):
		return " s"
	}
	return ""
}

// odds writes e^logE to one as "1 in 10^6" or "1 in 250".
func odds(logE float64) string {
	if logE <= 0 {
		return "1 in 1"
	}
	if exponent := logE / math.Ln10; exponent >= 4 {
		return fmt.Sprintf("1 in 10^%d", int(exponent))
	}
	return "1 in " + number(math.Round(math.Exp(logE)))
}

func percent(rate float64) string {
	p := rate * 100
	switch {
	case p == 0:
		return "0%"
	case p < 0.01:
		return strconv.FormatFloat(p, 'g', 1, 64) + "%"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + "%"
}

// number writes a count with thousands separated by commas.
func number(n float64) string {
	if n >= 1e15 {
		return strconv.FormatFloat(n, 'g', 4, 64)
	}
	if n != math.Trunc(n) && n < 1000 {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// clip shortens s to at most n bytes at a rune boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
