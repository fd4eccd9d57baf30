package tryout

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// began is when the past release got its first traffic.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// arm writes the counters of one pod, scraped every 5 s, as OpenMetrics has
// them: perScrape requests each time, of which one in failing(age) fails.
type arm struct {
	pod       string
	from      time.Duration
	perScrape int
	failing   func(age time.Duration) int
}

// pastRelease is a release of long ago: stable, a canary that turns bad after
// 4 minutes, and one that stays good.
func pastRelease() string {
	thousand := func(time.Duration) int { return 1000 }
	arms := []arm{
		{"stable-1", -35 * time.Minute, 500, thousand},
		{"bad-1", 0, 40, func(age time.Duration) int {
			if age > 4*time.Minute {
				return 20
			}
			return 1000
		}},
		{"good-1", 0, 40, thousand},
	}
	var total, buckets strings.Builder
	for _, a := range arms {
		var all, failed int
		for age := a.from; age <= 20*time.Minute; age += 5 * time.Second {
			at := float64(began.Add(age).UnixMilli()) / 1000
			if age > a.from {
				before := all / a.failing(age)
				all += a.perScrape
				failed += all/a.failing(age) - before
			}
			fmt.Fprintf(&total, "work_requests_total{pod=%q,handler=\"work\",code=\"200\"} %d %.3f\n", a.pod, all-failed, at)
			fmt.Fprintf(&total, "work_requests_total{pod=%q,handler=\"work\",code=\"500\"} %d %.3f\n", a.pod, failed, at)
			fmt.Fprintf(&buckets, "work_seconds_bucket{pod=%q,handler=\"work\",le=\"0.5\"} %d %.3f\n", a.pod, all-all/200, at)
			fmt.Fprintf(&buckets, "work_seconds_bucket{pod=%q,handler=\"work\",le=\"+Inf\"} %d %.3f\n", a.pod, all, at)
		}
	}
	return "# TYPE work_requests counter\n" + total.String() + buckets.String() + "# EOF\n"
}

// startPrometheus runs the real server with samples in its storage, given as
// OpenMetrics.
func startPrometheus(t *testing.T, samples string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "past.txt"), samples)
	write(t, filepath.Join(dir, "prometheus.yml"), "global: {scrape_interval: 1h}\n")
	if out, err := exec.CommandContext(t.Context(), "promtool", "tsdb", "create-blocks-from", "openmetrics", "-q",
		filepath.Join(dir, "past.txt"), filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("this test needs Debian's package prometheus: promtool: %v: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close() // the server listens there
	server := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+address, "--log.level=error")
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatalf("this test needs Debian's package prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed on purpose
	})
	waitReady(t, "http://"+address)
	return "http://" + address
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(90 * time.Second)
	for {
		response, err := http.Get(url + "/-/ready")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("timed out waiting until Prometheus is ready: %v", err)
		case <-ticker.C:
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBacktest(t *testing.T) {
	url := startPrometheus(t, pastRelease())
	for name, says := range map[string]string{
		"bad":  "It would have been rolled back at 2026-03-01T12:04:",
		"good": "It would have been promoted at 2026-03-01T12:1",
		"gone": "It would still be undecided at 2026-03-01T12:20:00Z",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := serin(t, "backtest", "-f", "testdata/rollout.yaml", "--template", "testdata/template.yaml", "--prometheus", url,
				"--canary", `pod="`+name+`-1"`, "--stable", `pod="stable-1"`, "--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T12:20:00Z")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, says) {
				t.Errorf("it does not say %q", says)
			}
			golden(t, "backtest-"+name+".txt", out)
		})
	}
}

func TestBacktestRefuses(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	with := func(args ...string) []string {
		return append([]string{"backtest", "-f", "testdata/rollout.yaml", "--template", "testdata/template.yaml"}, args...)
	}
	arms := []string{"--canary", `pod="a"`, "--stable", `pod="b"`, "--prometheus", away.URL}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no arms":          {with("--from", "1h"), "check errors has no arms"},
		"no source":        {with("--from", "1h", "--canary", `a="b"`, "--stable", `a="c"`), "--prometheus is needed"},
		"bad matchers":     {with("--from", "1h", "--canary", "a", "--stable", `a="c"`, "--prometheus", away.URL), "check errors: ratio.total"},
		"no time":          {with(append(arms, "--from", "yesterday")...), `--from "yesterday" is neither a time`},
		"backwards":        {with(append(arms, "--from", "1h", "--to", "2h")...), "at least"},
		"too many looks":   {with(append(arms, "--from", "9000h")...), "are more than 100000"},
		"source away":      {with(append(arms, "--from", "1h")...), "Outage"},
		"password is gone": {with(append(arms, "--from", "1h", "--password-file", "testdata/gone")...), "testdata/gone"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := serin(t, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q; printed %s", err, test.want, out)
			}
		})
	}
}
