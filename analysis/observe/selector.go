package observe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/golang/groupcache/lru"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/serin-gitops/serin/analysis"
)

// selector is a parsed PromQL instant-vector selector.
type selector []*labels.Matcher

// parseSelector fills the placeholders and parses; every error is a BadQuery.
func parseSelector(text string, args map[string]string) (selector, error) {
	rendered, err := Render(text, args)
	if err != nil {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: err.Error()}
	}
	if known, found := parsed.get(rendered); found {
		return known, nil
	}
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(rendered)
	if err != nil {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("selector %q: %v", rendered, err)}
	}
	parsed.put(rendered, selector(matchers))
	return matchers, nil
}

// keptSelectors bounds how many parsed selectors are kept: two for each trial, and
// those of the checks. One takes some KiB, most of it for its regular expression.
const keptSelectors = 4096

// parsed are selectors by their text. A trial asks by the same ones at every look,
// and compiling them costs as much as reading an answer. None is ever changed.
var parsed = memo{kept: lru.New(keptSelectors)}

type memo struct {
	mu   sync.Mutex
	kept *lru.Cache // string -> selector
}

func (m *memo) get(text string) (selector, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, found := m.kept.Get(text)
	s, _ := value.(selector)
	return s, found
}

func (m *memo) put(text string, s selector) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.Add(text, s)
}

// with adds matchers.
func (s selector) with(more selector) selector { return append(slices.Clone(s), more...) }

// String writes the selector in one canonical form, so that equal questions
// are recognised.
func (s selector) String() string {
	parts := make([]string, 0, len(s))
	for _, m := range s {
		parts = append(parts, m.String())
	}
	slices.Sort(parts)
	return "{" + strings.Join(slices.Compact(parts), ",") + "}"
}

// has is true where one of the matchers is as the given one.
func (s selector) has(like *labels.Matcher) bool {
	return slices.ContainsFunc(s, func(m *labels.Matcher) bool {
		return m.Type == like.Type && m.Name == like.Name && m.Value == like.Value
	})
}

// narrows is true when every series of s is one of wider: s has all of its matchers.
func (s selector) narrows(wider selector) bool {
	for _, w := range wider {
		if !s.has(w) {
			return false
		}
	}
	return true
}

// filter keeps the series that match.
func (s selector) filter(series []analysis.Series) []analysis.Series {
	var kept []analysis.Series
	for _, one := range series {
		if !slices.ContainsFunc(s, func(m *labels.Matcher) bool { return !m.Matches(one.Labels[m.Name]) }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// namesHistogram refuses what cannot be a native histogram, which is one series
// under the plain name.
func (s selector) namesHistogram() error {
	for _, m := range s {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			if strings.HasSuffix(m.Value, "_bucket") {
				return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf(
					"latency.histogram %s is native; name it without _bucket", s)}
			}
			return nil
		}
	}
	return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("latency.histogram %s has no metric name", s)}
}

// bucket turns the selector of a histogram into that of two of its buckets.
func (s selector) bucket(bounds ...string) (selector, error) {
	out := make(selector, 0, len(s)+1)
	named := false
	for _, m := range s {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			m = labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, strings.TrimSuffix(m.Value, "_bucket")+"_bucket")
			named = true
		}
		out = append(out, m)
	}
	if !named {
		return nil, &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("latency.histogram %s has no metric name", s)}
	}
	le, err := parseSelector("{"+labels.BucketLabel+"=~"+strconv.Quote(strings.Join(bounds, "|"))+"}", nil)
	return append(out, le...), err
}
