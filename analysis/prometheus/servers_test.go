package prometheus_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
)

// TestServersDiffer gives answers as servers beside Prometheus were seen to
// give them.
func TestServersDiffer(t *testing.T) {
	failing := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		kind    analysis.AbsenceKind
		says    string
	}{
		{"Prometheus 2.48 has infos among its warnings", answer(`{"status":"success","warnings":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count: \"up\" (1:5)"],
			"data":{"resultType":"scalar","result":[1,"7"]}}`), "", ""},
		{"Prometheus 3 has a list for infos", answer(`{"status":"success","infos":["PromQL info: metric might not be a counter"],"data":{"resultType":"scalar","result":[1,"7"]}}`), "", ""},
		{"a warning beside an info", answer(`{"status":"success","warnings":["PromQL info: x","a store is away"],"data":{"resultType":"scalar","result":[1,"7"]}}`), analysis.Partial, "a store is away"},
		{"Thanos whose store is away", failing(422, `{"status":"error","errorType":"execution","error":"expanding series: proxy Series(): rpc error: code = Aborted desc = No StoreAPIs matched for this query"}`),
			analysis.Outage, "No StoreAPIs matched"},
		{"Prometheus that cannot execute", failing(422, `{"status":"error","errorType":"execution","error":"found duplicate series for the match group"}`), analysis.BadQuery, "duplicate series"},
		{"Mimir whose limit is passed", failing(422, `{"status":"error","errorType":"execution","error":"the query exceeded the maximum number of chunks"}`), analysis.BadQuery, "maximum number of chunks"},
		{"VictoriaMetrics that cannot parse", failing(422, `{"status":"error","errorType":"422","error":"error when executing query=\"sum(up\": unexpected token"}`), analysis.BadQuery, "unexpected token"},
		{"VictoriaMetrics whose storage is away", failing(503, `{"status":"error","errorType":"503","error":"cannot fetch query results from vmstorage nodes"}`), analysis.Outage, "503"},
		{"Mimir that is not told a tenant", failing(401, "no org id\n"), analysis.Outage, "set the header X-Scope-OrgID"},
		{"a server that refuses", failing(403, "no"), analysis.Outage, "check the credentials"},
		{"a tenant that asks too much", failing(429, `{"status":"error","errorType":"too_many_requests","error":"too many outstanding requests"}`), analysis.Outage, "429"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			n, err := ask(t, newClient(t, prometheus.Options{URL: server.URL}))
			if tc.kind != "" {
				wantAbsence(t, err, tc.kind, tc.says)
			} else if err != nil || n != 7 {
				t.Errorf("got %v, %v; want 7", n, err)
			}
		})
	}
}

// TestParameters wants fresh and full answers asked for of VictoriaMetrics, and
// the parameters of the source's own URL left as they are.
func TestParameters(t *testing.T) {
	for query, want := range map[string]map[string]string{
		"":                                    {"latency_offset": "1ms", "deny_partial_response": "1", "dedup": "", "query": "scalar(x)"},
		"?deny_partial_response=0&dedup=true": {"latency_offset": "1ms", "deny_partial_response": "0", "dedup": "true", "query": "scalar(x)"},
	} {
		got := map[string]string{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name := range want {
				got[name] = r.FormValue(name)
			}
			answer(seven)(w, r)
		}))
		if _, err := ask(t, newClient(t, prometheus.Options{URL: server.URL + "/select/0/prometheus" + query})); err != nil {
			t.Error(err)
		}
		server.Close()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
}
