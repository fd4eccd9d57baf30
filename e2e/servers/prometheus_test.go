//go:build servers

package servers

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// debian is the Prometheus of Debian 12.
const debian = "/usr/bin/prometheus"

// scraper is a Prometheus that scrapes a list of targets.
type scraper struct {
	*process
	address string
}

// startScraper starts a Prometheus that scrapes every second.
func startScraper(t *testing.T, name, binary string, list targets, args ...string) scraper {
	t.Helper()
	dir, address := t.TempDir(), free(t)
	argv := append([]string{binary, "--config.file=" + file(t, dir, "prometheus.yml", list.scrapeConfig("1s", ", refresh_interval: 1s")),
		"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--log.level=warn"}, args...)
	return scraper{process: background(t, name, "http://"+address+"/-/ready", argv...), address: address}
}

// source asks a server.
func source(t *testing.T, options prometheus.Options) analysis.Source {
	t.Helper()
	client, err := prometheus.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// crash ends a process as a crash would, and begin starts it again.
func (p *process) crash(t *testing.T) { p.end(t, syscall.SIGKILL) }
func (p *process) begin(t *testing.T) { p.start(t) }

// TestServersDebian tries the Prometheus of Debian 12.
func TestServersDebian(t *testing.T) {
	list := newTargets(t)
	server := startScraper(t, "prometheus", debian, list, "--enable-feature=native-histograms")
	sourcetest.Run(t, sourcetest.Server{
		Source: source(t, prometheus.Options{URL: "http://" + server.address}), Scrape: list.write,
		Stop: server.crash, Start: server.begin, Native: true,
	})
}
