package replay

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// margin is how much more of the past is fetched than the first look asks
	// for: counters rise from samples before a window.
	margin = 5 * time.Minute
	// piece is how much of a series is asked for at once.
	piece = time.Hour
)

// memory answers questions about a stretch of the past from few queries, each
// for an hour of all series of a selector. An answer holds no sample that is
// younger than the question, as it was at the time.
type memory struct {
	source   analysis.Source
	from, to time.Time
	fetched  map[string][]analysis.Series
	// answered is told of each answer to a question about series.
	answered func()
}

var _ analysis.Source = (*memory)(nil)

func newMemory(source analysis.Source, from, to time.Time, answered func()) *memory {
	return &memory{source: source, from: from, to: to, fetched: map[string][]analysis.Series{}, answered: answered}
}

// Series implements analysis.Source.
func (m *memory) Series(ctx context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	if q.Start.Before(m.from) || q.End.After(m.to) {
		return m.source.Series(ctx, q)
	}
	all, known := m.fetched[q.Selector]
	if !known {
		var err error
		if all, err = m.fetch(ctx, q.Selector); err != nil {
			return nil, err
		}
		m.fetched[q.Selector] = all
	}
	var cut []analysis.Series
	for _, s := range all {
		first, last := after(s.Samples, q.Start), after(s.Samples, q.End)
		if first < last {
			cut = append(cut, analysis.Series{Labels: s.Labels, Samples: s.Samples[first:last:last]})
		}
	}
	return cut, nil
}

// after is the index of the first sample later than an instant.
func after(samples []analysis.Sample, at time.Time) int {
	i, _ := slices.BinarySearchFunc(samples, at, func(s analysis.Sample, at time.Time) int {
		if s.Time.After(at) {
			return 1
		}
		return -1
	})
	return i
}

// fetch asks piece by piece and joins each series' samples.
func (m *memory) fetch(ctx context.Context, selector string) ([]analysis.Series, error) {
	var all []analysis.Series
	at := map[string]int{}
	for start := m.from; start.Before(m.to); start = start.Add(piece) {
		end := start.Add(piece)
		if end.After(m.to) {
			end = m.to
		}
		series, err := m.source.Series(ctx, analysis.SeriesQuery{Selector: selector, Start: start, End: end})
		if err != nil {
			return nil, err
		}
		m.answered()
		for _, s := range series {
			i, known := at[s.Key()]
			if !known {
				i = len(all)
				at[s.Key()] = i
				all = append(all, analysis.Series{Labels: s.Labels})
			}
			all[i].Samples = append(all[i].Samples, s.Samples...)
		}
	}
	slices.SortFunc(all, func(a, b analysis.Series) int {
		return strings.Compare(a.Key(), b.Key())
	})
	return all, nil
}

// Value implements analysis.Source.
func (m *memory) Value(ctx context.Context, q analysis.ValueQuery) (float64, error) {
	return m.source.Value(ctx, q)
}
