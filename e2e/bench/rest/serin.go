package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-retryablehttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/e2e/bench/proc"
	"github.com/serin-gitops/serin/e2e/world"
)

const (
	metricsPort = 8080
	lease       = "serin.serin.dev"
)

// serin is Serin's process.
type serin struct {
	transport http.RoundTripper
	address   string
	// container is its id, as the kubelet tells it.
	container string
}

// findSerin finds the one pod of Serin that runs.
func findSerin(ctx context.Context, w *world.World) (serin, error) {
	var pods corev1.PodList
	if err := w.Client.List(ctx, &pods, client.InNamespace(world.SerinNamespace), client.MatchingLabels{"app": "serin"}); err != nil {
		return serin{}, err
	}
	for _, pod := range pods.Items {
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Running == nil || pod.Status.PodIP == "" {
			continue
		}
		_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		return serin{transport: w.Transport(), address: pod.Status.PodIP, container: id}, nil
	}
	return serin{}, fmt.Errorf("no pod of Serin runs in namespace %s", world.SerinNamespace)
}

// reading is what Serin's metrics say at one instant, since its start.
type reading struct {
	fetches, lists float64
	reads, writes  float64
	// resident memory in bytes.
	resident float64
}

// read asks Serin for its metrics.
func (s serin) read(ctx context.Context) (reading, error) {
	url := fmt.Sprintf("http://%s:%d/metrics", s.address, metricsPort)
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return reading{}, err
	}
	retrying := retryablehttp.NewClient()
	retrying.Logger, retrying.HTTPClient = nil, &http.Client{Transport: s.transport}
	response, err := retrying.Do(request)
	if err != nil {
		return reading{}, fmt.Errorf("metrics of Serin: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("metrics of Serin: %s answered %s", url, response.Status)
	}
	return parse(response.Body)
}

// parse reads metrics in the text format.
func parse(text io.Reader) (reading, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return reading{}, fmt.Errorf("metrics of Serin: %w", err)
	}
	for _, name := range []string{"rest_client_requests_total", "serin_git_requests_total", "process_resident_memory_bytes"} {
		if families[name] == nil {
			return reading{}, fmt.Errorf("metrics of Serin: there is no %s", name)
		}
	}
	var r reading
	for _, m := range families["rest_client_requests_total"].GetMetric() {
		if label(m, "method") == http.MethodGet {
			r.reads += m.GetCounter().GetValue()
		} else {
			r.writes += m.GetCounter().GetValue()
		}
	}
	for _, m := range families["serin_git_requests_total"].GetMetric() {
		switch label(m, "operation") {
		case "fetch":
			r.fetches += m.GetCounter().GetValue()
		case "list":
			r.lists += m.GetCounter().GetValue()
		}
	}
	r.resident = families["process_resident_memory_bytes"].GetMetric()[0].GetGauge().GetValue()
	return r, nil
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// peak is the most memory that Serin's process ever had resident, in bytes. The
// node is this machine, so proc(5) shows it; the container's cgroup tells which
// process it is.
func (s serin) peak() (int64, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), s.container) {
			continue // another's process, or one that has ended
		}
		return proc.Peak(filepath.Base(filepath.Dir(file)))
	}
	return 0, fmt.Errorf("no process of Serin's container is on this machine")
}

// renewals counts the writes to Serin's lease.
type renewals struct {
	watch watch.Interface
	seen  atomic.Int64
}

func watchLease(ctx context.Context, w *world.World) (*renewals, error) {
	config, err := w.RESTConfig()
	if err != nil {
		return nil, err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	leases := clients.CoordinationV1().Leases(world.SerinNamespace)
	now, err := leases.Get(ctx, lease, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("lease of Serin: %w", err)
	}
	watching, err := leases.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", lease).String(), ResourceVersion: now.ResourceVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("lease of Serin: %w", err)
	}
	r := &renewals{watch: watching}
	go func() {
		for event := range watching.ResultChan() {
			if event.Type == watch.Modified {
				r.seen.Add(1)
			}
		}
	}()
	return r, nil
}

func (r *renewals) count() int64 { return r.seen.Load() }
func (r *renewals) stop()        { r.watch.Stop() }
