//go:build integration

package admission_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/probe"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/admission"
	"github.com/serin-gitops/serin/e2e/sandbox"
)

const (
	root = "../.."
	// patience is how long a test waits for something that has to happen.
	patience = 2 * time.Minute
)

// served is Serin's admission in this process, asked by the real API server.
type served struct {
	client    client.Client
	namespace string
	stop      func()
}

func serve(t *testing.T) *served {
	t.Helper()
	cluster, err := sandbox.Attach("")
	if err != nil {
		t.Fatalf("no sandbox for this test (make sandbox-up starts one): %v", err)
	}
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"rollouts", "analysistemplates", "clusteranalysistemplates"} {
		text, err := os.ReadFile(filepath.Join(root, "config/crd/serin.dev_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.Apply(t.Context(), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "admission-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, c, namespace) })
	s := &served{client: c, namespace: namespace.Name}
	s.start(t, cluster, scheme)
	return s
}

// start serves inside the sandbox, where the API server is, with the webhooks of
// config/ narrowed to the test's own objects.
func (s *served) start(t *testing.T, cluster *sandbox.Cluster, scheme *runtime.Scheme) {
	t.Helper()
	prober, err := probe.New()
	if err != nil {
		t.Fatal(err)
	}
	validator := &admission.Validator{Reader: s.client, Inspect: func(check analysis.Check, args map[string]string) error {
		return errors.Join(observe.Check(check, observe.Trial{Args: args}), prober.Check(check))
	}}
	handler, err := validator.Handler(scheme, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	configuration := s.configuration(t, "https://"+listener.Addr().String())
	if err := s.client.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, s.client, configuration) })
	certificates := &admission.Certificates{
		Reader: s.client, Writer: s.client, Now: time.Now, Host: "127.0.0.1", Configuration: configuration.Name,
		Secret: types.NamespacedName{Namespace: s.namespace, Name: "serin-admission"},
	}
	ctx, cancel := context.WithCancel(context.Background())
	kept := make(chan error, 1)
	go func() { kept <- certificates.Start(ctx) }()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	go func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.Get}))
	}()
	s.stop = func() {
		cancel()
		_ = server.Close()
		if err := <-kept; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stopOnce)
}

func (s *served) stopOnce() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

func (s *served) configuration(t *testing.T, url string) *admissionv1.ValidatingWebhookConfiguration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config/admission/validate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all admissionv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		t.Fatal(err)
	}
	all.Name = s.namespace + ".serin.dev"
	for i := range all.Webhooks {
		hook := &all.Webhooks[i]
		path := url + *hook.ClientConfig.Service.Path
		hook.ClientConfig = admissionv1.WebhookClientConfig{URL: &path}
		hook.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"test": s.namespace}}
	}
	return &all
}

func remove(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := client.IgnoreNotFound(c.Delete(ctx, object)); err != nil {
		t.Error(err)
	}
}

// refused writes an object until that is refused: the API server has to hear of
// the webhook and of its certificate first.
func (s *served) refused(t *testing.T, object client.Object) error {
	t.Helper()
	var refusal error
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		fresh := object.DeepCopyObject().(client.Object)
		if refusal = s.client.Create(ctx, fresh); refusal != nil {
			return true, nil //nolint:nilerr // the refusal is what is waited for
		}
		return false, client.IgnoreNotFound(s.client.Delete(ctx, fresh))
	})
	if err != nil {
		t.Fatalf("%T %s is taken: %v", object, object.GetName(), err)
	}
	return refusal
}

func (s *served) rollout(name, workload, total string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name, Labels: map[string]string{"test": s.namespace}},
		Spec: v1alpha1.RolloutSpec{
			// A kind that no controller moves.
			WorkloadRef: v1alpha1.WorkloadReference{Kind: "StatefulSet", Name: workload},
			Analysis: v1alpha1.Analysis{Checks: []v1alpha1.Check{{
				Name: "errors", Ratio: &v1alpha1.RatioCheck{Total: total, Bad: `requests_total{code=~"5.."}`},
			}}},
		},
	}
}

// TestIntegrationAdmission writes to the real API server, which asks this
// process by the certificate that it made.
func TestIntegrationAdmission(t *testing.T) {
	s := serve(t)
	err := s.refused(t, s.rollout("web", "web", `requests_total{code=~"5.."`))
	want(t, err, `admission webhook "rollouts.serin.dev" denied the request: Rollout `+s.namespace+`/web: check errors: ratio.total`,
		"unexpected end of input inside braces", "write a PromQL series selector")

	spec := v1alpha1.AnalysisTemplateSpec{Checks: []v1alpha1.Check{{Name: "queue", Threshold: &v1alpha1.ThresholdCheck{Query: "max(queue[5m])", Max: "3"}}}}
	labels := map[string]string{"test": s.namespace}
	err = s.refused(t, &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "red", Labels: labels}, Spec: spec})
	want(t, err, "AnalysisTemplate "+s.namespace+"/red: check queue: threshold.query", "expected type instant vector")
	err = s.refused(t, &v1alpha1.ClusterAnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: s.namespace, Labels: labels}, Spec: spec})
	want(t, err, "ClusterAnalysisTemplate "+s.namespace+": check queue: threshold.query")

	right := s.rollout("web", "web", "requests_total")
	if err := s.client.Create(t.Context(), right); err != nil {
		t.Fatalf("what is right is refused: %v", err)
	}
	want(t, s.refused(t, s.rollout("other", "web", "requests_total")), "StatefulSet web has the Rollout web already")
	wrong := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"analysis":{"checks":[{"name":"errors","ratio":{"total":"sum(x)","bad":"y"}}]}}}`))
	want(t, s.client.Patch(t.Context(), right.DeepCopy(), wrong), "check errors: ratio.total")

	// With Serin away everything is taken.
	s.stopOnce()
	if err := s.client.Create(t.Context(), s.rollout("late", "late", "sum(")); err != nil {
		t.Errorf("without Serin: %v", err)
	}
}

func want(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("error %v, want one with %q", err, text)
		}
	}
}
