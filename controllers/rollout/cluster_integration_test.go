//go:build integration

package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun"
	"github.com/serin-gitops/serin/controllers/rollout"
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/traffic/gatewayapi"
	"github.com/serin-gitops/serin/traffic/replicas"
)

// patience is how long a test waits for something that has to happen.
const patience = 4 * time.Minute

// root is the repository, as seen from this package.
const root = "../.."

var prepare = sync.OnceValues(func() (string, error) {
	log.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	config, err := restConfig()
	if err != nil {
		return "", err
	}
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(root, "config/crd/serin.dev_*.yaml"))
	if err != nil {
		return "", err
	}
	for _, file := range append(files, filepath.Join(root, "config/admission/hold.yaml")) {
		if err := apply(ctx, c, file); err != nil {
			return "", fmt.Errorf("apply %s: %w", file, err)
		}
	}
	return pushApp(ctx)
})

func restConfig() (*rest.Config, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		path = filepath.Join(root, ".cache/sandbox/kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("no cluster for the tests (make sandbox-up starts one): %w", err)
	}
	return config, nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// apply applies the manifests of a file.
func apply(ctx context.Context, c client.Client, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(&object), client.FieldOwner("serin-tests"), client.ForceOwnership); err != nil {
			return err
		}
	}
}

// pushApp builds the tests' workload and pushes it where the cluster pulls from.
func pushApp(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "serin-app")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "app")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the tests' workload: %w: %s", err, out)
	}
	cluster, err := sandbox.Attach("")
	if err != nil {
		return "", err
	}
	return cluster.PushBinary(ctx, "rollout-tests:v2", binary)
}

// env is one test's namespace, with a client and, while it runs, a controller.
type env struct {
	t         *testing.T
	config    *rest.Config
	client    client.Client
	namespace string
	image     string
	sources   analysisrun.Sources
	// stop ends the controller that runs, here or in processes of its own.
	stop func()
	// dir is for files of the processes, and logs are theirs.
	dir  string
	logs []string
}

func setup(t *testing.T) *env {
	t.Helper()
	t.Parallel()
	image, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	config, err := restConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rollout-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	// Made before the tear-down is announced, the directory outlives the processes.
	e := &env{t: t, config: config, client: c, namespace: namespace.Name, image: image, sources: unasked{}, dir: t.TempDir()}
	t.Cleanup(func() { e.tearDown(namespace) })
	return e
}

// tearDown gives the Rollouts' finalisers a controller, then removes all.
func (e *env) tearDown(namespace *corev1.Namespace) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if e.t.Failed() {
		e.dump(ctx)
	}
	if err := e.client.DeleteAllOf(ctx, &v1alpha1.Rollout{}, client.InNamespace(e.namespace)); err != nil {
		e.t.Error(err)
	}
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var list v1alpha1.RolloutList
		err := e.client.List(ctx, &list, client.InNamespace(e.namespace))
		return err == nil && len(list.Items) == 0, nil
	})
	if err != nil {
		e.t.Errorf("the Rollouts are not given back: %v", err)
	}
	if e.stop != nil {
		e.stop()
	}
	if err := e.client.Delete(ctx, namespace); err != nil {
		e.t.Error(err)
	}
}

func (e *env) dump(ctx context.Context) {
	var list v1alpha1.RolloutList
	if err := e.client.List(ctx, &list, client.InNamespace(e.namespace)); err == nil {
		for _, ro := range list.Items {
			e.t.Logf("Rollout %s: %+v", ro.Name, ro.Status)
		}
	}
	for _, file := range e.logs {
		text, err := os.ReadFile(file)
		e.t.Logf("%s (%v) ends with:\n%s", file, err, text[max(0, len(text)-4000):])
	}
}

// start runs a controller for the test's namespace until it is stopped.
func (e *env) start() {
	e.t.Helper()
	unnamed := true
	mgr, err := ctrl.NewManager(e.config, ctrl.Options{
		Scheme: scheme(), Metrics: server.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{e.namespace: {}}, ByObject: rollout.Cached()},
		Controller: config.Controller{SkipNameValidation: &unnamed},
	})
	if err != nil {
		e.t.Fatal(err)
	}
	gate := replicas.Gate{Client: mgr.GetClient()}
	r := &rollout.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("serin"), Gate: gate,
		Replicas: replicas.Router{Client: mgr.GetClient(), Gate: gate}, Gateway: gatewayapi.New(mgr.GetClient()), Now: time.Now, Nodes: mgr.GetAPIReader(),
		Analyst: &analysisrun.Analyst{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Prober: unasked{}, Sources: e.sources},
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := r.SetupWithManager(ctx, mgr, rollout.Options{Concurrency: 2}); err != nil {
		e.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	e.stop = func() {
		cancel()
		if err := <-done; err != nil {
			e.t.Error(err)
		}
		e.stop = nil
	}
}

// unasked stands for what these tests do not ask: pods by HTTP and metrics.
type unasked struct{}

func (unasked) Looks(_ context.Context, asked []analysisrun.Asked, now time.Time) []analysis.Observation {
	observations := make([]analysis.Observation, len(asked))
	for i, one := range asked {
		observations[i] = analysis.Observation{
			Check: one.Check.Name, Window: analysis.Window{Start: now, End: now},
			Absence: &analysis.Absence{Kind: analysis.Outage, Message: "these tests have no prober"},
		}
	}
	return observations
}

func (unasked) Metrics(context.Context, string, *v1alpha1.MetricSource) (analysisrun.Metrics, error) {
	return nil, errors.New("these tests have no source of metrics")
}

// deploy makes the workload with a Service, changed as the test needs them, and
// waits until it runs.
func (e *env) deploy(replicas int32, change ...func(*appsv1.Deployment, *corev1.Service)) {
	e.t.Helper()
	labels := map[string]string{"app": "app"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "app", Image: e.image, Env: []corev1.EnvVar{{Name: "REVISION", Value: "1"}},
				}}},
			},
		},
	}
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, one := range change {
		one(d, s)
	}
	for _, object := range []client.Object{d, s} {
		if err := e.client.Create(e.t.Context(), object); err != nil {
			e.t.Fatal(err)
		}
	}
	e.until("the workload runs", func() (bool, string) {
		d := e.workload()
		return d.Status.AvailableReplicas == replicas, fmt.Sprintf("%d pods are available", d.Status.AvailableReplicas)
	})
}

// revise gives the workload's pod template other environment variables.
func (e *env) revise(vars ...corev1.EnvVar) {
	e.t.Helper()
	e.update(func() client.Object { return e.workload() }, func(object client.Object) {
		object.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Env = vars
	})
}

// update changes an object, again where somebody else was quicker.
func (e *env) update(get func() client.Object, change func(client.Object)) {
	e.t.Helper()
	e.until("the object is updated", func() (bool, string) {
		object := get()
		change(object)
		if err := e.client.Update(e.t.Context(), object); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

func (e *env) workload() *appsv1.Deployment {
	e.t.Helper()
	var d appsv1.Deployment
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app"}, &d); err != nil {
		e.t.Fatal(err)
	}
	return &d
}

func (e *env) rollout() *v1alpha1.Rollout {
	e.t.Helper()
	var ro v1alpha1.Rollout
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "app"}, &ro); err != nil {
		e.t.Fatal(err)
	}
	return &ro
}

// pods are the names of the pods that run, the canary's or the workload's own.
func (e *env) pods(canary bool) []string {
	e.t.Helper()
	var list corev1.PodList
	if err := e.client.List(e.t.Context(), &list, client.InNamespace(e.namespace), client.MatchingLabels{"app": "app"}); err != nil {
		e.t.Fatal(err)
	}
	var names []string
	for _, pod := range list.Items {
		if (pod.Labels[v1alpha1.LabelArm] == "canary") == canary && pod.DeletionTimestamp == nil {
			names = append(names, pod.Name)
		}
	}
	return names
}

// page gets a page of a pod at :8080, through the API server.
func (e *env) page(pod, path string) string {
	e.t.Helper()
	clientset, err := kubernetes.NewForConfig(e.config)
	if err != nil {
		e.t.Fatal(err)
	}
	text, err := clientset.CoreV1().Pods(e.namespace).ProxyGet("http", pod, "8080", path, nil).DoRaw(e.t.Context())
	if err != nil {
		e.t.Fatalf("get %s of pod %s: %v", path, pod, err)
	}
	return string(text)
}

// until waits for a condition and says what it saw last where it never comes.
func (e *env) until(what string, seen func() (bool, string)) {
	e.t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(e.t.Context(), 500*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		var met bool
		met, last = seen()
		return met, nil
	})
	if err != nil {
		e.t.Fatalf("waited for: %s; last seen: %s", what, strings.TrimSpace(last))
	}
}

// phase waits for a phase of the Rollout.
func (e *env) phase(want v1alpha1.RolloutPhase) *v1alpha1.Rollout {
	e.t.Helper()
	var ro *v1alpha1.Rollout
	e.until("phase "+string(want), func() (bool, string) {
		ro = e.rollout()
		return ro.Status.Phase == want, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
	return ro
}
