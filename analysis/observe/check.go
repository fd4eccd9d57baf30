package observe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
)

// Check parses what a ratio, latency, threshold or resources check would ask, so that a
// query that cannot be right is refused before a trial begins. The error is
// an *analysis.Absence of kind BadQuery that names the field.
func Check(check analysis.Check, trial Trial) error {
	switch {
	case check.Ratio != nil:
		return errors.Join(
			checkArms("ratio.arms", check.Ratio.Arms),
			checkSelector("ratio.total", check.Ratio.Total, check.Ratio.Arms, trial),
			checkSelector("ratio.bad or good", check.Ratio.Bad+check.Ratio.Good, check.Ratio.Arms, trial))
	case check.Latency != nil:
		if err := checkArms("latency.arms", check.Latency.Arms); err != nil {
			return err
		}
		if err := checkSelector("latency.histogram", check.Latency.Histogram, check.Latency.Arms, trial); err != nil {
			return err
		}
		base, err := parseSelector(check.Latency.Histogram, trial.Args)
		switch {
		case err != nil:
		case check.Latency.Native:
			err = base.namesHistogram()
		default:
			_, err = base.bucket(`\+Inf`)
		}
		return err
	case check.Resources != nil:
		var errs []error
		for _, r := range resourcesOf(*check.Resources, &usage.Seen{}) {
			errs = append(errs, checkSelector("resources."+strings.ToLower(r.name)+".series", r.bound.Series, nil, trial))
		}
		return errors.Join(errs...)
	case check.Threshold != nil:
		return checkExpression(check.Threshold.Query, trial.Args)
	}
	return nil
}

// checkArms refuses a check whose arms are one.
func checkArms(field string, arms *analysis.Arms) error {
	if arms == nil || strings.TrimSpace(arms.Stable) != strings.TrimSpace(arms.Canary) {
		return nil
	}
	return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("%s: stable and canary are both %q; give each the matchers of its own series", field, arms.Stable)}
}

func checkSelector(field, text string, own *analysis.Arms, trial Trial) error {
	for arm := range armNames {
		if _, err := (Observer{}).selector(text, own, trial, arm); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}

func checkExpression(query string, args map[string]string) error {
	rendered, err := Render(query, args)
	if err != nil {
		return &analysis.Absence{Kind: analysis.BadQuery, Message: err.Error()}
	}
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(rendered)
	if err != nil {
		return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("threshold.query %q: %v", rendered, err)}
	}
	if kind := expression.Type(); kind != parser.ValueTypeScalar && kind != parser.ValueTypeVector {
		return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("threshold.query %q gives a %s; it must give one number", rendered, kind)}
	}
	return nil
}
