//go:build servers

package servers

import (
	"fmt"
	"testing"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// TestServersThanos tries a querier over two Prometheus with a sidecar each, of
// which one scrapes the programs, and with the other one away. Two that scrape the
// same are not counted exactly: deduplicated, the answer for one window is of one of
// them, and that for the next of the other.
func TestServersThanos(t *testing.T) {
	list, nothing := newTargets(t), newTargets(t)
	var sidecars [2]*process
	args := []string{}
	for i := range sidecars {
		replica := startScraper(t, fmt.Sprint("prometheus-", i), current(t),
			scraping{list: [...]targets{list, nothing}[i], global: fmt.Sprintf("  external_labels: {replica: \"%d\"}\n", i)})
		grpc, http := free(t), free(t)
		sidecars[i] = background(t, fmt.Sprint("sidecar-", i), "http://"+http+"/-/ready", tool(t, "thanos"), "sidecar",
			"--prometheus.url=http://"+replica.address, "--tsdb.path="+replica.dir+"/data", "--grpc-address="+grpc, "--http-address="+http, "--log.level=warn")
		args = append(args, "--endpoint-strict="+grpc)
	}
	address := free(t)
	args = append([]string{"query", "--http-address=" + address, "--grpc-address=" + free(t), "--query.replica-label=replica", "--log.level=warn"}, args...)
	query := background(t, "query", "http://"+address+"/-/ready", append([]string{tool(t, "thanos")}, args...)...)
	asked := source(t, prometheus.Options{URL: "http://" + address})
	strict := source(t, prometheus.Options{URL: "http://" + address + "?partial_response=false"})
	sourcetest.Run(t, sourcetest.Server{
		Source: asked, Scrape: list.write, Stop: query.crash, Start: query.begin, Native: true,
		Away: sidecars[1].crash, Back: sidecars[1].begin,
		Partial: []sourcetest.Refusal{
			{Name: "a store is away", Source: asked, Kind: analysis.Partial},
			{Name: "a store is away, without partial responses", Source: strict, Kind: analysis.Outage},
		},
	})
}
