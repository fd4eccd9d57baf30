package prometheus

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/prometheus/common/model"
)

// sample is read from a pair such as [1735689600.5,"42"].
type sample model.SamplePair

// UnmarshalJSON implements json.Unmarshaler.
func (s *sample) UnmarshalJSON(text []byte) error {
	value, err := timed(text, &s.Timestamp)
	if err != nil {
		return err
	}
	return s.Value.UnmarshalJSON(value)
}

// samples are read from a list of such pairs, without a call of encoding/json for
// each.
type samples []model.SamplePair

// UnmarshalJSON implements json.Unmarshaler.
func (s *samples) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	rest, ok := list(text)
	if !ok {
		return errors.New("not a list of samples")
	}
	*s = make(samples, 0, bytes.Count(rest, []byte("[")))
	for rest = bytes.TrimSpace(rest); len(rest) > 0; {
		var one sample
		end := bytes.IndexByte(rest, ']') + 1
		if err := one.UnmarshalJSON(rest[:end]); err != nil {
			return err
		}
		*s = append(*s, model.SamplePair(one))
		rest = bytes.TrimLeft(rest[end:], ", \t\r\n")
	}
	return nil
}

// histogramSample is read from a pair such as
// [1735689600.5,{"count":"3","sum":"0.4","buckets":[[0,"0.1","0.2","3"]]}].
type histogramSample model.SampleHistogramPair

// UnmarshalJSON implements json.Unmarshaler.
func (h *histogramSample) UnmarshalJSON(text []byte) error {
	value, err := timed(text, &h.Timestamp)
	if err != nil {
		return err
	}
	var read struct {
		Count   *model.FloatString `json:"count"`
		Sum     model.FloatString  `json:"sum"`
		Buckets []bucket           `json:"buckets"`
	}
	if err := json.Unmarshal(value, &read); err != nil {
		return err
	}
	if read.Count == nil {
		return errors.New("a histogram without a count")
	}
	h.Histogram = &model.SampleHistogram{Count: *read.Count, Sum: read.Sum}
	for _, b := range read.Buckets {
		h.Histogram.Buckets = append(h.Histogram.Buckets, (*model.HistogramBucket)(&b))
	}
	return nil
}

// bucket is read from a list such as [0,"0.1","0.2","3"]: which of its bounds are
// part of it, lower bound, upper bound, count.
type bucket model.HistogramBucket

// UnmarshalJSON implements json.Unmarshaler.
func (b *bucket) UnmarshalJSON(text []byte) error {
	inner, ok := list(text)
	parts := bytes.SplitN(inner, []byte(","), 5)
	if !ok || len(parts) != 4 {
		return errors.New("not a bucket: its kind, two bounds and a count")
	}
	kind, err := strconv.ParseInt(string(bytes.TrimSpace(parts[0])), 10, 32)
	if err != nil {
		return err
	}
	b.Boundaries = int32(kind)
	for i, into := range []*model.FloatString{&b.Lower, &b.Upper, &b.Count} {
		if err := into.UnmarshalJSON(bytes.TrimSpace(parts[i+1])); err != nil {
			return err
		}
	}
	return nil
}

// timed reads the time that begins a pair, and gives the text of its other half.
func timed(text []byte, at *model.Time) ([]byte, error) {
	inner, ok := list(text)
	first, rest, isPair := bytes.Cut(inner, []byte(","))
	if !ok || !isPair {
		return nil, errors.New("not a pair of a time and a value")
	}
	return bytes.TrimSpace(rest), at.UnmarshalJSON(bytes.TrimSpace(first))
}

// list gives what stands between the brackets of a list.
func list(text []byte) (inner []byte, ok bool) {
	inner, begins := bytes.CutPrefix(bytes.TrimSpace(text), []byte("["))
	inner, ends := bytes.CutSuffix(inner, []byte("]"))
	return inner, begins && ends
}
