package tryout

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// samples are series as the documentation that a template names has them. In
// labels, %s stands for what tells the arms apart.
type samples struct {
	requests, labels, canary, stable string
	good, bad                        string
	histogram                        string
}

// documented are the samples of each ready-made template.
var documented = map[string]samples{
	"traefik": {
		requests: "traefik_service_requests_total", labels: `method="GET",protocol="http",service="shop-%s-http-80@kubernetesgateway"`,
		canary: "web-canary", stable: "web-stable", good: `code="200"`, bad: `code="502"`, histogram: "traefik_service_request_duration_seconds",
	},
	"istio": {
		requests: "istio_requests_total", labels: `reporter="destination",destination_workload_namespace="shop",destination_workload="%s"`,
		canary: "web-canary", stable: "web", good: `response_code="200"`, bad: `response_code="503"`,
	},
	"opentelemetry-http": {
		requests: "http_server_request_duration_seconds_count", labels: `http_request_method="GET",pod="%s"`,
		canary: "web-canary-1", stable: "web-1", good: `http_response_status_code="200"`, bad: `http_response_status_code="500"`,
		histogram: "http_server_request_duration_seconds",
	},
	"red": {
		requests: "http_requests_total", labels: `pod="%s"`, canary: "web-canary-1", stable: "web-1",
		good: `code="200"`, bad: `code="500"`, histogram: "http_request_duration_seconds",
	},
}

// text writes ten minutes; from the second one on the canary fails one request
// in ten.
func (s samples) text() string {
	var requests, buckets strings.Builder
	for _, arm := range []struct {
		name                  string
		perScrape, each, from int
	}{{s.canary, 40, 10, 12}, {s.stable, 500, 1000, 0}} {
		labels := fmt.Sprintf(s.labels, arm.name)
		for k := -12; k <= 120; k++ {
			all, failed := (k+12)*arm.perScrape, max(0, k-arm.from)*arm.perScrape/arm.each
			at := began.Add(time.Duration(k) * 5 * time.Second).Unix()
			fmt.Fprintf(&requests, "%s{%s,%s} %d %d\n", s.requests, labels, s.good, all-failed, at)
			fmt.Fprintf(&requests, "%s{%s,%s} %d %d\n", s.requests, labels, s.bad, failed, at)
			if s.histogram != "" {
				fmt.Fprintf(&buckets, "%s_bucket{%s,%s,le=\"0.5\"} %d %d\n", s.histogram, labels, s.good, all-all/100, at)
				fmt.Fprintf(&buckets, "%s_bucket{%s,%s,le=\"+Inf\"} %d %d\n", s.histogram, labels, s.good, all, at)
			}
		}
	}
	return requests.String() + buckets.String()
}

// TestReadyMadeTemplates judges each template of config/templates on samples
// written after the documentation that it names, in a real Prometheus.
func TestReadyMadeTemplates(t *testing.T) {
	files, err := filepath.Glob("../../../config/templates/*.yaml")
	if err != nil || len(files) != len(documented)+1 {
		t.Fatalf("%d files in config/templates, %v; want one for each of %d, and kustomization.yaml", len(files), err, len(documented))
	}
	var all strings.Builder
	for _, s := range documented {
		all.WriteString(s.text())
	}
	url := startPrometheus(t, all.String()+"# EOF\n")
	for name, s := range documented {
		t.Run(name, func(t *testing.T) {
			rollout := filepath.Join(t.TempDir(), "rollout.yaml")
			write(t, rollout, "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: web, namespace: shop}\nspec:\n"+
				"  workloadRef: {kind: Deployment, name: web}\n  analysis: {templates: [{kind: ClusterAnalysisTemplate, name: "+name+"}]}\n")
			out, err := serin(t, "backtest", "-f", rollout, "--template", "../../../config/templates/"+name+".yaml", "--prometheus", url, "--without-past",
				"--canary", `pod="`+s.canary+`"`, "--stable", `pod="`+s.stable+`"`, "--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T12:05:00Z")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, "rolled back at 2026-03-01T12:01:") || !strings.Contains(out, "-errors: canary ") {
				t.Errorf("the errors are not seen:\n%s", out)
			}
			if s.histogram != "" && !strings.Contains(out, "requests took over 0.5 s") {
				t.Errorf("the durations are not seen:\n%s", out)
			}
		})
	}
}
