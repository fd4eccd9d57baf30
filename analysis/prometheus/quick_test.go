package prometheus

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// canned answers everything alike.
type canned struct {
	status int
	body   string
}

// URL implements api.Client.
func (canned) URL(string, map[string]string) *url.URL { return &url.URL{} }

// Do implements api.Client.
func (c canned) Do(context.Context, *http.Request) (*http.Response, []byte, error) {
	return &http.Response{StatusCode: c.status}, []byte(c.body), nil
}

// told is what was understood of an answer.
type told struct {
	Value    model.Value
	Warnings []string
	Err      string
}

func understood(value model.Value, warnings []string, err error) told {
	got := told{Value: value, Warnings: warnings}
	if err != nil {
		return told{Err: err.Error()}
	}
	return got
}

// read gives what the client and what the library understand of an answer.
func read(status int, body string) (got, library told) {
	c := canned{status: status, body: body}
	value, warnings, _, err := promv1.NewAPI(c).Query(context.Background(), "up", time.Unix(1, 0))
	library = understood(value, warnings, err)
	return understood((&Client{server: c}).send(context.Background(), "up", time.Unix(1, 0))), library
}

// matrix and vector are answers of one type.
func matrix(result string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":` + result + `}}`
}

func vector(result string) string {
	return `{"status":"success","data":{"resultType":"vector","result":` + result + `}}`
}

func TestAnswersAreReadAsTheLibraryDoes(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"series":                   {body: matrix(`[{"metric":{"__name__":"up","pod":"a\"b"},"values":[[1,"2"],[1.5,"2.5e3"],[-1.25,"NaN"],[2,"+Inf"]]},{"metric":{},"values":[]}]`)},
		"spaces":                   {body: " {\n\"data\" : { \"result\" : [ { \"values\" : [ [ 1 , \"2\" ] ] , \"metric\" : { \"pod\" : \"a\" } } ] , \"resultType\" : \"matrix\" } , \"status\" : \"success\" }\n"},
		"no samples":               {body: matrix(`[{"metric":{"a":"b"},"values": [ ]},{"metric":{"a":"c"},"values":null}]`)},
		"warnings and infos":       {body: `{"status":"success","warnings":["a store is away"],"infos":["PromQL info: x"],"data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"2"]]}]}}`},
		"fields of a server's own": {body: `{"status":"success","isPartial":false,"stats":{"n":[1]},"data":{"resultType":"matrix","stats":{},"result":[{"metric":{"a":"b"},"values":[[1.123456,"2"]]}]}}`},
		"no series":                {body: matrix(`[]`)},
		"result null":              {body: matrix(`null`)},
		"histograms":               {body: matrix(`[{"metric":{"a":"b"},"histograms":[[1.5,{"count":"3","sum":"4","buckets":[[0,"0.5","1","3"],[ 3 , "-1" , "1" , "2" ]]}],[2,{"count":"0","sum":"0"}]]}]`)},
		"histograms null":          {body: matrix(`[{"metric":{"a":"b"},"values":[[1,"2"]],"histograms":null}]`)},
		"a vector":                 {body: vector(`[{"metric":{"a":"b"},"value":[1,"2"]},{"metric":{},"value":[1,"NaN"]}]`)},
		"a vector of histograms":   {body: vector(`[{"metric":{"a":"b"},"histogram":[1,{"count":"3","sum":"4","buckets":[[0,"0.5","1","3"]]}]}]`)},
		"an empty vector":          {body: vector(`[]`)},
		"a scalar":                 {body: `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`},
		"text":                     {body: `{"status":"success","data":{"resultType":"string","result":[1,"two"]}}`},
		"no number":                {body: matrix(`[{"metric":{},"values":[[1,"two"]]}]`)},
		"a number without quotes":  {body: matrix(`[{"metric":{},"values":[[1,2]]}]`)},
		"a time with an exponent":  {body: matrix(`[{"metric":{},"values":[[1e3,"2"]]}]`)},
		"an object as sample":      {body: matrix(`[{"metric":{},"values":[{"1":"2"}]}]`)},
		"metric null":              {body: matrix(`[{"metric":null,"values":[[1,"2"]]}]`)},
		"a label null":             {body: matrix(`[{"metric":{"a":null},"values":[[1,"2"]]}]`)},
		"a label twice":            {body: matrix(`[{"metric":{"a":"b","a":"c"},"values":[[1,"2"]]}]`)},
		"half a pair of UTF-16":    {body: matrix(`[{"metric":{"a":"\ud800","b":"\ud83d\ude00"},"values":[[1,"2"]]}]`)},
		"half an answer":           {body: matrix(`[{"metric":{},"values":[[1,"2"]]}]`)[:90]},
		"no result":                {body: `{"status":"success","data":{"resultType":"matrix"}}`},
		"an error with status 200": {body: `{"status":"error","errorType":"execution","error":"too much","data":{"resultType":"matrix","result":[]}}`},
		"a page":                   {body: `<html>Sign in</html>`},
		"a bad query":              {status: http.StatusBadRequest, body: `{"status":"error","errorType":"bad_data","error":"parse error"}`},
		"a failure with an answer": {status: http.StatusBadGateway, body: matrix(`[]`)},
		"another success":          {status: http.StatusPartialContent, body: matrix(`[{"metric":{},"values":[[1,"2"]]}]`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, library := read(cmp.Or(tt.status, http.StatusOK), tt.body)
			if diff := gocmp.Diff(library, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("read otherwise than the library does (-library +here):\n%s", diff)
			}
		})
	}
}

// Each of these crashes, misleads or burdens one who reads on.
func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	many := func(one string) string { return one + strings.Repeat(","+one, 100_000) }
	for name, body := range map[string]string{
		"a series null":               matrix(`[null]`),
		"a sample of a vector null":   vector(`[null]`),
		"a sample null":               matrix(`[{"metric":{},"values":[null]}]`),
		"a sample of one":             matrix(`[{"metric":{},"values":[[1]]}]`),
		"a sample of three":           matrix(`[{"metric":{},"values":[[1,"2","3"]]}]`),
		"a bucket null":               matrix(`[{"metric":{},"histograms":[[1,{"count":"3","sum":"4","buckets":[null]}]]}]`),
		"a bucket of five":            matrix(`[{"metric":{},"histograms":[[1,{"count":"3","sum":"4","buckets":[[0,"0","1","3","4"]]}]]}]`),
		"a histogram null":            matrix(`[{"metric":{},"histograms":[[1,null]]}]`),
		"no data":                     `{"status":"success"}`,
		"two answers":                 matrix(`[]`) + matrix(`[]`),
		"numbers for series":          matrix("[" + many("1") + "]"),
		"numbers for samples":         matrix(`[{"metric":{},"values":[` + many("1") + `]}]`),
		"numbers for parts of vector": vector("[" + many("1") + "]"),
		"a status many times":         `{"status":1,` + many(`"status":""`) + `}`,
		"no JSON":                     matrix("[" + many("") + "]"),
		"a large name, then no JSON":  `{"` + strings.Repeat("/", others) + `":x`,
		"a number without end":        matrix(`[{"metric":{},"values":[[01,"2"]]}]`),
	} {
		t.Run(name, func(t *testing.T) {
			value, _, err := (&Client{server: canned{status: http.StatusOK, body: body}}).send(t.Context(), "up", time.Unix(1, 0))
			if err == nil {
				t.Errorf("read as %.200v", value)
			}
			if strings.Contains(fmt.Sprint(err), "%!") {
				t.Errorf("message %q", err)
			}
		})
	}
}

func FuzzAnswersAreReadAsTheLibraryDoes(f *testing.F) {
	f.Add("web-1", int64(1735689600500), 42.5, "a store is away", uint8(3))
	f.Add("a\"\\\n\u00e9", int64(-1), math.Inf(1), "", uint8(0))
	f.Fuzz(func(t *testing.T, label string, millis int64, number float64, warning string, samples uint8) {
		stream := model.SampleStream{Metric: model.Metric{"pod": model.LabelValue(label)}, Values: []model.SamplePair{}}
		for i := range samples {
			at := model.Time(millis%1e15) + model.Time(i)
			stream.Values = append(stream.Values, model.SamplePair{Timestamp: at, Value: model.SampleValue(number)})
		}
		text, err := json.Marshal(map[string]any{"status": "success", "warnings": []string{warning}, "data": map[string]any{
			"resultType": "matrix", "result": model.Matrix{&stream, &stream}}})
		if err != nil {
			t.Fatal(err)
		}
		got, library := read(http.StatusOK, string(text))
		if diff := gocmp.Diff(library, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" || got.Err != "" {
			t.Errorf("%s is read otherwise than the library does (-library +here):\n%s%s", text, diff, got.Err)
		}
	})
}
