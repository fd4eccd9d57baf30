package prometheus

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// differs compares what is read quickly with what the library reads.
func differs(status int, body string) string {
	c := canned{status: status, body: body}
	value, warnings, _, err := promv1.NewAPI(c).Query(context.Background(), "up", time.Unix(1, 0))
	want := understood(value, warnings, err)
	got := understood((&Client{server: c}).send(context.Background(), "up", time.Unix(1, 0)))
	return cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty())
}

func TestAnswersAreReadAsTheLibraryDoes(t *testing.T) {
	matrix := func(result string) string {
		return `{"status":"success","data":{"resultType":"matrix","result":` + result + `}}`
	}
	tests := map[string]struct {
		status int
		body   string
		quick  bool
	}{
		"series":                     {body: matrix(`[{"metric":{"__name__":"up","pod":"a\"b"},"values":[[1,"2"],[1.5,"2.5e3"],[-1.25,"NaN"],[2,"+Inf"]]},{"metric":{},"values":[]}]`), quick: true},
		"spaces":                     {body: " {\n\"data\" : { \"result\" : [ { \"values\" : [ [ 1 , \"2\" ] ] , \"metric\" : { \"pod\" : \"a\" } } ] , \"resultType\" : \"matrix\" } , \"status\" : \"success\" }\n", quick: true},
		"warnings and infos":         {body: `{"status":"success","warnings":["a store is away"],"infos":["PromQL info: x"],"data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"2"]]}]}}`, quick: true},
		"fields of a server's own":   {body: `{"status":"success","isPartial":false,"stats":{"n":[1]},"data":{"resultType":"matrix","stats":{},"result":[{"metric":{"a":"b"},"values":[[1.123456,"2"]]}]}}`, quick: true},
		"a field that no series has": {body: matrix(`[{"metric":{"a":"b"},"values":[[1,"2"]],"x":1}]`)},
		"no series":                  {body: matrix(`[]`), quick: true},
		"result null":                {body: matrix(`null`), quick: true},
		"metric null":                {body: matrix(`[{"metric":null,"values":[[1,"2"]]}]`)},
		"histograms":                 {body: matrix(`[{"metric":{"a":"b"},"histograms":[[1,{"count":"3","sum":"4","buckets":[[0,"0.5","1","3"]]}]]}]`), quick: true},
		"histograms null":            {body: matrix(`[{"metric":{"a":"b"},"values":[[1,"2"]],"histograms":null}]`), quick: true},
		"a vector":                   {body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]}}`},
		"a scalar":                   {body: `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`},
		"text":                       {body: `{"status":"success","data":{"resultType":"string","result":[1,"two"]}}`},
		"a sample of three":          {body: matrix(`[{"metric":{},"values":[[1,"2","3"]]}]`)},
		"a sample of one":            {body: matrix(`[{"metric":{},"values":[[1]]}]`)},
		"a sample of none":           {body: matrix(`[{"metric":{},"values":[[]]}]`)},
		"a sample null":              {body: matrix(`[{"metric":{},"values":[null]}]`)},
		"a time null":                {body: matrix(`[{"metric":{},"values":[[null,"2"]]}]`)},
		"a number without quotes":    {body: matrix(`[{"metric":{},"values":[[1,2]]}]`)},
		"a time with an exponent":    {body: matrix(`[{"metric":{},"values":[[1e3,"2"]]}]`)},
		"no number":                  {body: matrix(`[{"metric":{},"values":[[1,"two"]]}]`)},
		"an object as sample":        {body: matrix(`[{"metric":{},"values":[{"1":"2"}]}]`)},
		"a list in a sample":         {body: matrix(`[{"metric":{},"values":[[[1,"2"],"3"]]}]`)},
		"half an answer":             {body: matrix(`[{"metric":{},"values":[[1,"2"]`)[:60]},
		"an error with status 200":   {body: `{"status":"error","errorType":"execution","error":"too much","data":{"resultType":"matrix","result":[]}}`},
		"no data":                    {body: `{"status":"success"}`},
		"a page":                     {body: `<html>Sign in</html>`},
		"a bad query":                {status: http.StatusBadRequest, body: `{"status":"error","errorType":"bad_data","error":"parse error"}`},
		"a failure with an answer":   {status: http.StatusBadGateway, body: matrix(`[]`)},
		"another success":            {status: http.StatusPartialContent, body: matrix(`[{"metric":{},"values":[[1,"2"]]}]`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.status == 0 {
				tt.status = http.StatusOK
			}
			if diff := differs(tt.status, tt.body); diff != "" {
				t.Errorf("read otherwise than the library does (-library +quick):\n%s", diff)
			}
			q := &quick{Client: canned{status: tt.status, body: tt.body}}
			if _, _, err := q.Do(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got := q.read != nil; got != tt.quick {
				t.Errorf("read quickly: %t, want %t", got, tt.quick)
			}
		})
	}
}

func FuzzAnswersAreReadAsTheLibraryDoes(f *testing.F) {
	f.Add(`[{"metric":{"pod":"a"},"values":[[1.5,"2"],[2,"NaN"]]}]`, `["w"]`)
	f.Add(`[{"metric":{},"values":[[1,"2","3"],null]}]`, `null`)
	f.Add(`[{"metric":{},"Values":[[1, "-0"]],"values":[]}]`, `[]`)
	f.Fuzz(func(t *testing.T, result, warnings string) {
		body := `{"status":"success","warnings":` + warnings + `,"data":{"resultType":"matrix","result":` + result + `}}`
		if diff := differs(http.StatusOK, body); diff != "" {
			t.Errorf("%s is read otherwise than the library does (-library +quick):\n%s", body, diff)
		}
	})
}
