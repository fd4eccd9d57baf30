//go:build servers

package servers

import (
	"net"
	"strings"
	"testing"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// mimirConfig is a single binary that keeps all in DIR and talks to nobody.
const mimirConfig = `
multitenancy_enabled: true
usage_stats: {enabled: false}
server: {http_listen_address: 127.0.0.1, http_listen_port: HTTP, grpc_listen_address: 127.0.0.1, grpc_listen_port: GRPC, log_level: warn}
blocks_storage:
  backend: filesystem
  filesystem: {dir: DIR/blocks}
  bucket_store: {sync_dir: DIR/sync}
  tsdb: {dir: DIR/tsdb}
compactor: {data_dir: DIR/compactor, sharding_ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}}}
distributor: {ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}}}
ingester: {ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}, replication_factor: 1, min_ready_duration: 0s}}
store_gateway: {sharding_ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}, replication_factor: 1}}
query_scheduler: {ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}}}
frontend: {address: 127.0.0.1}
ruler_storage: {backend: filesystem, filesystem: {dir: DIR/rules}}
ruler: {rule_path: DIR/ruler, ring: {instance_addr: 127.0.0.1, kvstore: {store: inmemory}}}
alertmanager: {data_dir: DIR/alertmanager}
activity_tracker: {filepath: DIR/activity.log}
limits: {native_histograms_ingestion_enabled: true}
runtime_config: {file: DIR/runtime.yml}
`

// TestServersMimir tries a Mimir in one process that a Prometheus writes to as the
// tenant shop; the tenant narrow may fetch next to nothing.
func TestServersMimir(t *testing.T) {
	list, dir, address := newTargets(t), t.TempDir(), free(t)
	_, grpc, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	_, http, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	file(t, dir, "runtime.yml", "overrides: {narrow: {max_fetched_series_per_query: 1}}\n")
	config := file(t, dir, "mimir.yml", strings.NewReplacer("DIR", dir, "HTTP", http, "GRPC", grpc).Replace(mimirConfig))
	server := background(t, "mimir", "http://"+address+"/ready", tool(t, "mimir"), "-config.file="+config)
	write := func(tenant string) string {
		return "{url: http://" + address + "/api/v1/push, send_native_histograms: true, headers: {X-Scope-OrgID: " + tenant + "}}"
	}
	startScraper(t, "prometheus", current(t), scraping{list: list, more: "remote_write: [" + write("shop") + ", " + write("narrow") + "]\n"})
	as := func(headers map[string]string) analysis.Source {
		return source(t, prometheus.Options{URL: "http://" + address + "/prometheus", Headers: headers})
	}
	sourcetest.Run(t, sourcetest.Server{
		Source: as(map[string]string{"X-Scope-OrgID": "shop"}), Scrape: list.write, Stop: server.crash, Start: server.begin, Native: true,
		Refused: []sourcetest.Refusal{
			{Name: "no tenant", Source: as(nil), Kind: analysis.Outage, Says: "X-Scope-OrgID"},
			{Name: "a tenant without series", Source: as(map[string]string{"X-Scope-OrgID": "shpo"}), Kind: analysis.NoSeries, Says: "no request counter of stable"},
			{Name: "a tenant beyond its limit", Source: as(map[string]string{"X-Scope-OrgID": "narrow"}), Kind: analysis.BadQuery, Says: "max-fetched-series"},
		},
	})
}
