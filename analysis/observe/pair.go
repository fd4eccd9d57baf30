package observe

import (
	"regexp"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/serin-gitops/serin/analysis"
)

// pair is the same question about both arms, stable's first.
type pair [2]selector

// joined is one selector that asks for the series of both arms. There is one
// where the arms differ in the values of a single label. It filters nothing.
func (p pair) joined() (selector, bool) {
	common, ofStable := p[stable].apart(p[canary])
	_, ofCanary := p[canary].apart(p[stable])
	if len(ofStable) != 1 || len(ofCanary) != 1 || ofStable[0].Name != ofCanary[0].Name {
		return nil, false
	}
	first, ok := alternative(ofStable[0])
	second, also := alternative(ofCanary[0])
	if !ok || !also {
		return nil, false
	}
	// Only the source matches by it, so its expression, of two that are valid, is
	// not compiled here.
	either := &labels.Matcher{Type: labels.MatchRegexp, Name: ofStable[0].Name, Value: first + "|" + second}
	return common.with(selector{either}), true
}

// both is one selector that matches what two questions ask of both arms, where
// there is one.
func both(whole, narrow pair) (selector, bool) {
	first, ok := whole.joined()
	second, also := narrow.joined()
	if !ok || !also {
		return nil, false
	}
	return pair{first, second}.joined()
}

// apart splits the matchers into those that other has too and the rest.
func (s selector) apart(other selector) (common, rest selector) {
	for _, m := range s {
		if other.has(m) {
			common = append(common, m)
		} else {
			rest = append(rest, m)
		}
	}
	return common, rest
}

// alternative is a matcher's value as one branch of a regular expression.
func alternative(m *labels.Matcher) (string, bool) {
	switch m.Type {
	case labels.MatchEqual:
		return regexp.QuoteMeta(m.Value), true
	case labels.MatchRegexp:
		// In a group of its own, so that its flags stay its own.
		return "(?:" + m.Value + ")", true
	}
	return "", false
}

// overlap refuses arms that share a series: what both count cannot be compared.
func overlap(arms [2][]analysis.Series) error {
	known := make(map[string]bool, len(arms[stable]))
	for _, s := range arms[stable] {
		known[s.Key()] = true
	}
	for _, s := range arms[canary] {
		if key := s.Key(); known[key] {
			return &analysis.Absence{Kind: analysis.BadQuery, Message: "the arms overlap: both stable and the canary have the series " + key + " tell them apart by arms"}
		}
	}
	return nil
}
