package observe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/serin-gitops/serin/analysis"
)

// known refuses a part that is told from the whole by a label that none of the
// whole's series has: it is empty, or everything, whatever happens.
func known(narrow, whole selector, total [2][]analysis.Series) error {
	names := map[string]bool{}
	for _, arm := range total {
		for _, s := range arm {
			for name := range s.Labels {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, more := narrow.apart(whole)
	for _, m := range more {
		if names[m.Name] || presence(m) {
			continue
		}
		delete(names, model.MetricNameLabel)
		return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
			"no series of total has the label %s; it has %s", m.Name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))}
	}
	return nil
}

// presence is true of a matcher that only asks for the label to be there, as of
// one that programs set on failures alone, such as OpenTelemetry's error_type.
func presence(m *labels.Matcher) bool {
	return m.Type == labels.MatchNotEqual && m.Value == "" || m.Type == labels.MatchRegexp && m.Value == ".+"
}

// unseen is true where the part that a ratio check tells apart has no series in
// either arm, and nothing says that it can have one: a metric of its own, or a
// label that programs may set on failures alone.
func (a Counters) unseen(check analysis.Check, trial Trial) bool {
	if check.Ratio == nil || len(a.Part[stable])+len(a.Part[canary]) > 0 {
		return false
	}
	whole, err := parseSelector(check.Ratio.Total, trial.Args)
	if err != nil {
		return false
	}
	narrow, err := parseSelector(check.Ratio.Bad+check.Ratio.Good, trial.Args)
	if err != nil {
		return false
	}
	_, more := narrow.apart(whole)
	return !narrow.narrows(whole) || slices.ContainsFunc(more, presence)
}
