package simulate

import (
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// PlainRule is what simpler tools do: the canary fails when its success rate
// over the last Span is below Success, for more than Failures looks in all.
// It is here for comparison.
type PlainRule struct {
	// Success is the least share of good requests, 0 to 1.
	Success float64
	// Span is how far each look reaches back.
	Span time.Duration
	// Failures that are accepted.
	Failures int
	// Every is the time between two looks; 0 is at each window.
	Every time.Duration
}

// Judge makes the rule a judge.
func (p PlainRule) Judge() NewJudge {
	return func([]analysis.Counts) Judge { return &plain{rule: p} }
}

type plain struct {
	rule    PlainRule
	windows []analysis.Window
	counts  []analysis.Counts
	failed  int
	looked  time.Time
}

func (p *plain) Look(o analysis.Observation) (failed, proven bool) {
	w := o.Window
	p.windows, p.counts = append(p.windows, w), append(p.counts, *o.Canary)
	for p.windows[0].Start.Before(w.End.Add(-p.rule.Span)) {
		p.windows, p.counts = p.windows[1:], p.counts[1:]
	}
	if p.looked.IsZero() {
		p.looked = w.Start
	}
	if w.End.Sub(p.looked) < p.rule.Every {
		return false, false
	}
	p.looked = w.End
	var sum analysis.Counts
	for _, c := range p.counts {
		sum.Total += c.Total
		sum.Failed += c.Failed
	}
	if sum.Total > 0 && 1-sum.Failed/sum.Total < p.rule.Success {
		p.failed++
	}
	return p.failed > p.rule.Failures, false
}

func (p *plain) BeginStep(time.Time) {}
