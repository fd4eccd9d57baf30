package analysis

import (
	"fmt"
	"strings"

	"github.com/serin-gitops/serin/analysis/usage"
)

// addLook remembers a look, as many as the check's rule needs.
func addLook(looks []Look, l Look, of int) []Look {
	looks = append(append([]Look(nil), looks...), l)
	if extra := len(looks) - of; extra > 0 {
		looks = looks[extra:]
	}
	return looks
}

// judgeLooks applies "failing of the last looks" and, when impatient, "every
// pod twice in a row".
func judgeLooks(v CheckVerdict, looks []Look, failing int, impatient bool, failed Reason) CheckVerdict {
	n := 0
	for _, l := range looks {
		if l.Failed {
			n++
		}
	}
	last := looks[len(looks)-1]
	v.Number = last.Number
	switch {
	case impatient && allTwice(looks):
		v.Outcome, v.Reason = Fail, failed
		v.Message = fmt.Sprintf("every canary pod failed twice in a row: %s", last.Message)
	case n >= failing:
		v.Outcome, v.Reason = Fail, failed
		v.Message = fmt.Sprintf("%d of the last %d looks failed, at most %d are accepted: %s", n, len(looks), failing-1, lastFailure(looks))
	case last.Failed:
		v.Outcome, v.Reason = Inconclusive, ReasonProbesFailing
		v.Message = fmt.Sprintf("%d of the last %d looks failed, %d fail the check: %s", n, len(looks), failing, last.Message)
	default:
		v.Outcome, v.Reason, v.Proven = Pass, ReasonHealthy, true
		v.Message = last.Message
	}
	return v
}

func allTwice(looks []Look) bool {
	n := len(looks)
	return n >= 2 && looks[n-1].All && looks[n-2].All
}

func lastFailure(looks []Look) string {
	for i := len(looks) - 1; i >= 0; i-- {
		if looks[i].Failed {
			return looks[i].Message
		}
	}
	return ""
}

// probeLook folds the canary pods' answers into one look, naming the failing pods.
func probeLook(o Observation) Look {
	l := Look{At: o.Window.End, All: true}
	var failed []string
	pods, services := 0, ""
	for i, p := range o.Probes {
		name := p.Pod
		if p.Service {
			name, services = "Service "+p.Pod, " and the Service "+p.Pod
		} else {
			pods++
		}
		if p.Pass {
			l.All = false
		} else {
			l.Failed = true
			failed = append(failed, name+": "+clip(p.Message, 200))
		}
		if i == 0 || p.Number < l.Number {
			l.Number = p.Number
		}
	}
	l.All = l.All && l.Failed
	if !l.Failed {
		l.Message = fmt.Sprintf("%d canary pods%s answered well", pods, services)
		if len(o.Probes) == 1 {
			l.Message = fmt.Sprintf("canary pod %s: %s", o.Probes[0].Pod, clip(o.Probes[0].Message, 200))
		}
		return l
	}
	more := ""
	if len(failed) > 3 {
		more = fmt.Sprintf(" and %d more", len(failed)-3)
		failed = failed[:3]
	}
	l.Message = strings.Join(failed, "; ") + more
	return l
}

// thresholdLook compares one value with its bounds.
func thresholdLook(t Threshold, o Observation) Look {
	value := *o.Value
	l := Look{At: o.Window.End, Number: value, Message: fmt.Sprintf("value %.4g is within bounds", value)}
	switch {
	case t.Min != nil && value < *t.Min:
		l.Failed, l.Message = true, fmt.Sprintf("value %.4g is below the minimum %.4g", value, *t.Min)
	case t.Max != nil && value > *t.Max:
		l.Failed, l.Message = true, fmt.Sprintf("value %.4g is above the maximum %.4g", value, *t.Max)
	}
	return l
}

// usageLook compares what a pod of each arm uses.
func usageLook(r Resources, o Observation) Look {
	f := usage.Assess(r, *o.Usage)
	return Look{At: o.Window.End, Failed: f.Failed, Number: f.Number, Message: f.Message}
}

// answerLook is what a gate said.
func answerLook(o Observation) Look {
	return Look{At: o.Window.End, Failed: !o.Answer.Pass, Number: float64(o.Answer.Status), Message: "the gate says: " + clip(o.Answer.Message, 300)}
}

// rule gives the looks a check keeps and how many of them may not fail.
func (c Check) rule() (failing, of int) {
	switch {
	case c.HTTP != nil:
		failing, of = c.HTTP.Failing, c.HTTP.Of
	case c.Peers != nil:
		failing, of = c.Peers.Failing, c.Peers.Of
	case c.Threshold != nil:
		failing, of = c.Threshold.Failing, c.Threshold.Of
	case c.Resources != nil:
		failing, of = c.Resources.Failing, c.Resources.Of
	case c.Webhook != nil:
		failing, of = max(c.Webhook.Failing, 1), max(c.Webhook.Of, c.Webhook.Failing, 1)
	}
	if failing <= 0 {
		failing = DefaultFailing
	}
	if of <= 0 {
		of = max(DefaultOf, failing)
	}
	return min(failing, of), of
}
