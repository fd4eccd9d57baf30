//go:build servers

package servers

import (
	"cmp"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// The programs of Prometheus that are tried.
const debian = "/usr/bin/prometheus"

func current(t *testing.T) string { return tool(t, "prometheus") }

// scraper is a Prometheus that scrapes a list of targets.
type scraper struct {
	*process
	address, dir string
}

// scraping is how a Prometheus scrapes.
type scraping struct {
	list targets
	// interval is of scrapes; empty: a second.
	interval string
	// global is added to that part of the configuration, more to all of it; both
	// are YAML.
	global, more string
}

// startScraper starts a Prometheus.
func startScraper(t *testing.T, name, binary string, s scraping, args ...string) scraper {
	t.Helper()
	dir, address := t.TempDir(), free(t)
	if binary != debian {
		// Older ones know a flag for it.
		s.global += "  scrape_native_histograms: true\n"
	}
	config := "global:\n  evaluation_interval: 1m\n" + s.global + s.more + s.list.scrapeConfig(cmp.Or(s.interval, "1s"), ", refresh_interval: 1s")
	argv := append([]string{binary, "--config.file=" + file(t, dir, "prometheus.yml", config), "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + address, "--log.level=warn"}, args...)
	return scraper{process: background(t, name, "http://"+address+"/-/ready", argv...), address: address, dir: dir}
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
func (p *process) close(t *testing.T) { p.end(t, syscall.SIGTERM) }
func (p *process) begin(t *testing.T) { p.start(t) }

// TestServersDebian tries the Prometheus of Debian 12.
func TestServersDebian(t *testing.T) {
	list := newTargets(t)
	server := startScraper(t, "prometheus", debian, scraping{list: list}, "--enable-feature=native-histograms")
	sourcetest.Run(t, sourcetest.Server{
		Source: source(t, prometheus.Options{URL: "http://" + server.address}), Scrape: list.write,
		Stop: server.crash, Start: server.begin, Native: true,
	})
}

// TestServersPrometheus tries the current Prometheus.
func TestServersPrometheus(t *testing.T) {
	list := newTargets(t)
	server := startScraper(t, "prometheus", current(t), scraping{list: list})
	sourcetest.Run(t, sourcetest.Server{
		Source: source(t, prometheus.Options{URL: "http://" + server.address}), Scrape: list.write,
		Stop: server.crash, Start: server.begin, Native: true,
	})
}
