package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// quick is the connection of one question. It reads series, as nearly all answers
// are, itself: once, token by token (by what is encoding/json/jsontext in Go 1.27), and
// to the first thing that is wrong. The library reads an answer once for each
// level that it is nested in, and on after an error, which lets few bytes take much
// memory. Errors, scalars and texts stay the library's, as they came.
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
	Metric model.Metric
	// Of a matrix.
	Values     samples
	Histograms []histogramSample
	// Of a vector.
	Value     *sample
	Histogram *histogramSample
}

// Of two fields of a name the last one counts, and what is no UTF-8 in a text is
// replaced, as encoding/json has it.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func readAnswer(body []byte) (*answer, error) {
	// The decoder's errors hold all names that lead to them, several times.
	if len(body) > others && !json.Valid(body) {
		return nil, errors.New("it is no JSON")
	}
	d, a := jsontext.NewDecoder(bytes.NewBuffer(body), lenient...), &answer{}
	if err := fields(d, func(name string) error { return a.field(d, name) }); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	if a.status != "success" || a.kind != model.ValMatrix && a.kind != model.ValVector || a.streams == nil {
		return nil, fmt.Errorf("its status is %q and its type %q", a.status, a.kind)
	}
	return a, nil
}

// fields goes through an object. What it calls reads the field's value.
func fields(d *jsontext.Decoder, field func(name string) error) error {
	switch token, err := d.ReadToken(); {
	case err != nil:
		return err
	case token.Kind() != '{':
		return fmt.Errorf("%s is no object", token.Kind())
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := field(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// text reads a text; null is none.
func text[T ~string](d *jsontext.Decoder, into *T) error {
	token, err := d.ReadToken()
	switch {
	case err != nil:
		return err
	case token.Kind() == '"':
		*into = T(token.String())
	case token.Kind() != 'n':
		return fmt.Errorf("%s is no text", token.Kind())
	}
	return nil
}

// decode reads a value of another kind.
func decode(d *jsontext.Decoder, into any) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	if own, ok := into.(json.Unmarshaler); ok {
		return own.UnmarshalJSON(value)
	}
	return json.Unmarshal(value, into)
}

func (a *answer) field(d *jsontext.Decoder, name string) error {
	switch name {
	case "status":
		return text(d, &a.status)
	case "warnings":
		return decode(d, &a.warnings)
	case "data":
		return fields(d, func(name string) error {
			switch name {
			case "resultType":
				return decode(d, &a.kind)
			case "result":
				return a.result(d)
			}
			return d.SkipValue()
		})
	}
	return d.SkipValue()
}

func (a *answer) result(d *jsontext.Decoder) error {
	a.streams = []stream{}
	switch token, err := d.ReadToken(); {
	case err != nil:
		return err
	case token.Kind() == 'n':
		return nil // no series, of servers that write an empty list so
	case token.Kind() != '[':
		return fmt.Errorf("its result begins with %s", token.Kind())
	}
	for d.PeekKind() != ']' {
		var s stream
		if err := fields(d, func(name string) error { return s.field(d, name) }); err != nil {
			return err
		}
		if s.Metric == nil {
			return errors.New("a series without labels")
		}
		a.streams = append(a.streams, s)
	}
	_, err := d.ReadToken()
	return err
}

func (s *stream) field(d *jsontext.Decoder, name string) error {
	switch name {
	case "metric":
		s.Metric = model.Metric{}
		return fields(d, func(name string) error {
			var value model.LabelValue
			err := text(d, &value)
			s.Metric[model.LabelName(name)] = value
			return err
		})
	case "values":
		return decode(d, &s.Values)
	case "histograms":
		return decode(d, &s.Histograms)
	case "value":
		return decode(d, &s.Value)
	case "histogram":
		return decode(d, &s.Histogram)
	}
	return d.SkipValue()
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
