package tryout

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

const readyMade = "../../../config/templates/"

// The samples of templates last for fifteen minutes, one every five seconds; the
// canary is bad from the middle of the eleventh one on.
const (
	scrapeEvery = 5 * time.Second
	firstScrape = -2 * time.Minute
	turnsBad    = 10*time.Minute + 30*time.Second
	lastScrape  = 15 * time.Minute
)

// documented names every template; testdata/templates/NAME.prom holds samples of a
// good and of a bad canary, written after the documentation that the template
// names. The value is what is given as its arguments.
var documented = map[string]string{
	"traefik": "", "envoy-gateway": "[{name: route, value: web}]", "istio": "", "nginx-gateway-fabric": "", "cilium": "",
	"opentelemetry-http": "", "red": "", "use": "",
}

// units are what reports have to say of durations, after the histogram's name.
var units = map[string]string{"istio-latency": "requests took over 500 ms", "cilium-latency": "requests took over 0.5 s"}

// scrapeOf reads one scrape in Prometheus' text format: the samples, and which of
// them are gauges.
func scrapeOf(t *testing.T, text string) (samples model.Vector, gauges map[string]bool) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	gauges = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, families[name])
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, vector...)
		gauges[name] = families[name].GetType() == dto.MetricType_GAUGE
	}
	return samples, gauges
}

// past writes a template's samples over time, in OpenMetrics' text format.
func past(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	good, bad, found := strings.Cut(string(text), "# A bad canary:\n")
	if !found {
		t.Fatalf("%s has no bad canary", file)
	}
	goodSamples, gauges := scrapeOf(t, good)
	badSamples, _ := scrapeOf(t, bad)
	var out strings.Builder
	levels := map[string]float64{}
	for at := firstScrape; at <= lastScrape; at += scrapeEvery {
		samples := goodSamples
		if at >= turnsBad {
			samples = badSamples
		}
		for _, s := range samples {
			// OpenMetrics has no space between labels.
			series := strings.ReplaceAll(s.Metric.String(), `", `, `",`)
			if gauges[string(s.Metric[model.MetricNameLabel])] {
				levels[series] = 0
			}
			levels[series] += float64(s.Value)
			fmt.Fprintf(&out, "%s %g %d\n", series, levels[series], began.Add(at).Unix())
		}
	}
	return out.String()
}

// TestSerialReadyMadeTemplates judges each template of config/templates on samples
// written after the documentation that it names, in a real Prometheus: it
// promotes a good canary and rolls a bad one back.
func TestSerialReadyMadeTemplates(t *testing.T) {
	files, err := filepath.Glob(readyMade + "*.yaml")
	if err != nil || len(files) != len(documented)+1 {
		t.Fatalf("%d files in config/templates, %v; want one for each of %d, and kustomization.yaml", len(files), err, len(documented))
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		all.WriteString(past(t, filepath.Join("testdata/templates", name+".prom")))
	}
	url := startPrometheus(t, all.String()+"# EOF\n")
	for name, args := range documented {
		for _, check := range checksOf(t, name) {
			t.Run(name+"/"+check.name, func(t *testing.T) { judgeBoth(t, url, name, args, check) })
		}
	}
}

// alone is a template with one of its checks.
type alone struct{ name, file string }

// checksOf takes a template apart, so that each check has to tell good from bad.
func checksOf(t *testing.T, name string) []alone {
	t.Helper()
	text, err := os.ReadFile(readyMade + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template v1alpha1.ClusterAnalysisTemplate
	if err := yaml.UnmarshalStrict(text, &template); err != nil {
		t.Fatal(err)
	}
	var all []alone
	checks := template.Spec.Checks
	for _, check := range checks {
		template.Spec.Checks = []v1alpha1.Check{check}
		one, err := yaml.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, alone{name: check.Name, file: filepath.Join(t.TempDir(), "template.yaml")})
		write(t, all[len(all)-1].file, string(one))
	}
	return all
}

// judgeBoth judges the good and the bad canary by one check.
func judgeBoth(t *testing.T, url, name, args string, check alone) {
	t.Helper()
	rollout, reference := filepath.Join(t.TempDir(), "rollout.yaml"), "kind: ClusterAnalysisTemplate, name: "+name
	if args != "" {
		reference += ", args: " + args
	}
	write(t, rollout, "apiVersion: serin.dev/v1alpha1\nkind: Rollout\nmetadata: {name: web, namespace: shop}\nspec:\n"+
		"  workloadRef: {kind: Deployment, name: web}\n  steps: [{weight: 50, duration: 4m}]\n  analysis: {templates: [{"+reference+"}]}\n")
	for _, tc := range []struct{ from, want, numbers string }{
		{"2026-03-01T12:00:00Z", "promoted at 2026-03-01T12:04:", `canary 0 of [1-9]|value 0\.`},
		{"2026-03-01T12:10:00Z", "rolled back at 2026-03-01T12:1", `canary [1-9][0-9]* of [1-9]|above the maximum`},
	} {
		out, err := serin(t, "backtest", "-f", rollout, "--template", check.file, "--prometheus", url, "--without-past",
			"--canary", `pod="web-canary-1"`, "--stable", `pod="web-1"`, "--arg", "serin.canaryHash=6d4cf56db6",
			"--from", tc.from, "--to", "2026-03-01T12:15:00Z")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, tc.want) || !strings.Contains(out, units[check.name]) || !regexp.MustCompile(tc.numbers).MatchString(out) {
			t.Errorf("from %s, want %q, and %s:\n%s", tc.from, tc.want, tc.numbers, out)
		}
	}
}
