package rest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const exposed = `# TYPE rest_client_requests_total counter
rest_client_requests_total{code="200",host="10.96.0.1:443",method="GET"} 40
rest_client_requests_total{code="200",host="10.96.0.1:443",method="PUT"} 30
rest_client_requests_total{code="201",host="10.96.0.1:443",method="POST"} 2
# TYPE serin_git_requests_total counter
serin_git_requests_total{operation="fetch"} 3
serin_git_requests_total{operation="list"} 7
serin_git_requests_total{operation="push"} 1
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 5.24288e+07
`

func TestMetricsAreRead(t *testing.T) {
	got, err := parse(strings.NewReader(exposed))
	if err != nil {
		t.Fatal(err)
	}
	want := reading{fetches: 3, lists: 7, reads: 40, writes: 32, resident: 50 << 20}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(reading{})); diff != "" {
		t.Error(diff)
	}
}

// A metric that is gone must not read as zero requests.
func TestMissingMetricsAreAnError(t *testing.T) {
	without := strings.ReplaceAll(exposed, "serin_git_requests_total", "other_total")
	if _, err := parse(strings.NewReader(without)); err == nil || !strings.Contains(err.Error(), "serin_git_requests_total") {
		t.Errorf("got %v, want an error that names the metric", err)
	}
}
