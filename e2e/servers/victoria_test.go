//go:build servers

package servers

import (
	"path/filepath"
	"testing"

	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// TestServersVictoriaMetrics tries a single node that scrapes by itself. Its outage
// is a clean end: killed, it loses the samples of about 5 s, with which it had
// answered already, and what they counted is counted twice.
func TestServersVictoriaMetrics(t *testing.T) {
	list, dir, address := newTargets(t), t.TempDir(), free(t)
	server := background(t, "victoria-metrics", "http://"+address+"/health", tool(t, "victoria-metrics"),
		"-httpListenAddr="+address, "-storageDataPath="+filepath.Join(dir, "data"), "-retentionPeriod=1d",
		"-promscrape.config="+file(t, dir, "scrape.yml", list.scrapeConfig("1s", "")), "-promscrape.fileSDCheckInterval=1s", "-loggerLevel=WARN")
	sourcetest.Run(t, sourcetest.Server{
		Source: source(t, prometheus.Options{URL: "http://" + address}), Scrape: list.write,
		Stop: server.close, Start: server.begin,
	})
}
