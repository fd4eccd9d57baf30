package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// quick is the connection of one question. It reads series, as nearly all answers
// are, itself: once, and to the first thing that is wrong. The library (before Go
// 1.27) reads an answer once for each level that it is nested in, and on after an
// error, which lets few bytes take much memory. Errors, scalars and texts stay the
// library's, as they came.
type quick struct {
	api.Client
	read   *answer
	refuse error
}

const (
	// unread stands for an answer that was read already.
	unread = `{"status":"success","data":{"resultType":"matrix","result":[]}}`
	// others bounds, in bytes, what is left to the library of status 2xx: a number, a
	// text or an error.
	others = 64 << 10
)

// Do implements api.Client.
func (q *quick) Do(ctx context.Context, request *http.Request) (*http.Response, []byte, error) {
	response, body, err := q.Client.Do(ctx, request)
	q.read, q.refuse = nil, nil
	if err != nil || response.StatusCode/100 != 2 {
		return response, body, err
	}
	if q.read, q.refuse = readAnswer(body); q.refuse == nil {
		return response, []byte(unread), nil
	}
	if len(body) > others {
		return response, nil, q.refusal()
	}
	return response, body, nil
}

// refusal says why an answer is not one.
func (q *quick) refusal() error {
	return &promv1.Error{Type: promv1.ErrBadResponse, Msg: fmt.Sprintf("the answer is not as a Prometheus gives it: %v", q.refuse)}
}

// answer is what /api/v1/query gives to a range selector or to an expression that
// is a vector, as
// https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats
// has it.
type answer struct {
	status   string
	kind     model.ValueType
	streams  []stream
	warnings []string
}

// stream is one series of an answer.
type stream struct {
	Metric model.Metric `json:"metric"`
	// Of a matrix.
	Values     samples           `json:"values"`
	Histograms []histogramSample `json:"histograms"`
	// Of a vector.
	Value     *sample          `json:"value"`
	Histogram *histogramSample `json:"histogram"`
}

func readAnswer(body []byte) (*answer, error) {
	d, a := json.NewDecoder(bytes.NewReader(body)), &answer{}
	if err := fields(d, func(name string) error { return a.field(d, name) }); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	if a.status != "success" || a.kind != model.ValMatrix && a.kind != model.ValVector || a.streams == nil {
		return nil, fmt.Errorf("its status is %q and its type %q", a.status, a.kind)
	}
	return a, nil
}

// fields goes through an object. What it calls reads the field's value.
func fields(d *json.Decoder, field func(name string) error) error {
	switch token, err := d.Token(); {
	case err != nil:
		return err
	case token != json.Delim('{'):
		return fmt.Errorf("%v is no object", token)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(fmt.Sprint(name)); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (a *answer) field(d *json.Decoder, name string) error {
	switch name {
	case "status":
		return d.Decode(&a.status)
	case "warnings":
		return d.Decode(&a.warnings)
	case "data":
		return fields(d, func(name string) error {
			switch name {
			case "resultType":
				return d.Decode(&a.kind)
			case "result":
				return a.result(d)
			}
			return d.Decode(&json.RawMessage{})
		})
	}
	return d.Decode(&json.RawMessage{})
}

func (a *answer) result(d *json.Decoder) error {
	a.streams = []stream{}
	switch token, err := d.Token(); {
	case err != nil:
		return err
	case token == nil:
		return nil // no series, of servers that write an empty list so
	case token != json.Delim('['):
		return fmt.Errorf("its result begins with %v", token)
	}
	for d.More() {
		var s stream
		if err := d.Decode(&s); err != nil {
			return err
		}
		if s.Metric == nil {
			return errors.New("a series without labels")
		}
		a.streams = append(a.streams, s)
	}
	_, err := d.Token()
	return err
}

// value is the answer in the library's words.
func (a *answer) value() model.Value {
	if a.kind == model.ValVector {
		vector := make(model.Vector, len(a.streams))
		for i, s := range a.streams {
			vector[i] = s.point()
		}
		return vector
	}
	matrix := make(model.Matrix, len(a.streams))
	for i, s := range a.streams {
		matrix[i] = s.series()
	}
	return matrix
}

func (s stream) point() *model.Sample {
	point := &model.Sample{Metric: s.Metric}
	if s.Value != nil {
		point.Timestamp, point.Value = s.Value.Timestamp, s.Value.Value
	}
	if s.Histogram != nil {
		point.Timestamp, point.Histogram = s.Histogram.Timestamp, s.Histogram.Histogram
	}
	return point
}

func (s stream) series() *model.SampleStream {
	series := &model.SampleStream{Metric: s.Metric, Values: s.Values}
	for _, h := range s.Histograms {
		series.Histograms = append(series.Histograms, model.SampleHistogramPair(h))
	}
	return series
}
