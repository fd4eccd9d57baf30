package analysis

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// Source is the port to a time series store.
//
// Errors: every error is an *Absence (errors.As) that says whether there is no
// such series, no data, a partial answer, an outage or a bad query; a
// cancelled context counts as an outage. Messages never hold a secret.
// Implementations may answer identical questions from one request.
type Source interface {
	// Series returns the raw samples with Start < time <= End of every series
	// the selector matches, each series' samples in order of time, the series
	// in order of their Key. No match is an empty slice and no error: within a
	// window that is for the caller to interpret.
	Series(ctx context.Context, q SeriesQuery) ([]Series, error)
	// Value evaluates an expression that must give one number at an instant.
	Value(ctx context.Context, q ValueQuery) (float64, error)
}

// SeriesQuery asks for raw samples.
type SeriesQuery struct {
	// Selector is a PromQL instant-vector selector.
	Selector string
	Start    time.Time
	End      time.Time
}

// ValueQuery asks for one number.
type ValueQuery struct {
	Expression string
	At         time.Time
}

// Series is one time series.
type Series struct {
	Labels  map[string]string
	Samples []Sample
}

// Sample is one scraped value.
type Sample struct {
	Time time.Time
	// Value is the number; of a native histogram it is the count of all
	// observations.
	Value float64
	// Histogram holds the buckets of a native histogram; nil for a number.
	Histogram *Histogram
}

// Histogram is a native histogram, with exponential or with custom buckets, as
// /api/v1/query returns it: buckets that are not empty, in order of their bounds.
// How the API writes it is in
// https://prometheus.io/docs/prometheus/latest/querying/api/#native-histograms
type Histogram struct {
	// Buckets hold how many observations each had since the process began.
	// Observations that are NaN are in none.
	Buckets []Bucket
}

// Bucket counts the observations between two bounds, in the histogram's unit.
// Which of the bounds are part of it makes no difference to durations.
type Bucket struct {
	Lower, Upper float64
	Count        float64
}

// Key writes the labels in a fixed order, so that series can be told apart and
// sorted.
func (s Series) Key() string {
	names, length := make([]string, 0, len(s.Labels)), 0
	for name, value := range s.Labels {
		names, length = append(names, name), length+len(name)+len(value)+len(`="",`)
	}
	slices.Sort(names)
	key := make([]byte, 0, length)
	for _, name := range names {
		key = append(append(key, name...), '=')
		key = append(strconv.AppendQuote(key, s.Labels[name]), ',')
	}
	return string(key)
}
