//go:build integration || e2e

package gatewayapi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/traffic"
	"github.com/serin-gitops/serin/traffic/gatewayapi"
	"github.com/serin-gitops/serin/traffic/traffictest"
)

// patience with the API server on a loaded machine.
const patience = 2 * time.Minute

// writer is who resets routes in these tests.
const writer = "a-gitops-engine"

// cluster is $KUBECONFIG's, or else the sandbox's.
func cluster(t *testing.T) client.Client {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		up, err := sandbox.Attach("")
		if err != nil {
			t.Fatal(err)
		}
		path = up.Kubeconfig
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// world is a namespace with the user's route, read from text, and the Services
// that it needs.
type world struct {
	client.Client
	namespace string
	kind      schema.GroupVersionKind
	route     *unstructured.Unstructured
}

func newWorld(t *testing.T, c client.Client, route string) *world {
	t.Helper()
	w := &world{Client: c, namespace: "traffic-" + strings.ToLower(rand.Text())[:8]}
	w.route = w.object(t, route)
	w.kind = w.route.GroupVersionKind()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	w.create(t, namespace)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := client.IgnoreNotFound(c.Delete(ctx, namespace)); err != nil {
			t.Errorf("delete namespace %s: %v", w.namespace, err)
		}
	})
	for name, selector := range map[string]map[string]string{
		"web": {"app": "web"}, "other": {"app": "web"}, "web-stable": {"app": "web", "arm": "stable"}, "web-canary": {"app": "web", "arm": "canary"},
	} {
		w.create(t, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
			Spec:       corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		})
	}
	w.apply(t)
	return w
}

// object reads one, in the world's namespace.
func (w *world) object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetNamespace(w.namespace)
	return object
}

func (w *world) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// apply writes the route as the user has it in Git, as a GitOps engine does.
func (w *world) apply(t *testing.T) {
	t.Helper()
	configuration := client.ApplyConfigurationFromUnstructured(w.route.DeepCopy())
	if err := w.Apply(t.Context(), configuration, client.FieldOwner(writer), client.ForceOwnership); err != nil {
		t.Fatalf("apply the route: %v", err)
	}
}

func (w *world) read(ctx context.Context) (*unstructured.Unstructured, error) {
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(w.kind)
	return route, w.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: w.route.GetName()}, route)
}

func (w *world) fixture() traffictest.Fixture {
	target := traffic.Target{
		Namespace: w.namespace, Kind: w.kind.Kind, Route: w.route.GetName(),
		Service: "web", Stable: "web-stable", Canary: "web-canary", StableReplicas: 4,
	}
	bare := target
	bare.Stable, bare.Canary = "web-none", "web-neither"
	must := func(t *testing.T) *unstructured.Unstructured {
		t.Helper()
		route, err := w.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return route
	}
	return traffictest.Fixture{
		Router: gatewayapi.New(w.Client), Target: target, Bare: bare,
		Spec:    func(t *testing.T) any { return must(t).Object["spec"] },
		Version: func(t *testing.T) string { return fmt.Sprint(must(t).GetGeneration()) },
		Reset:   w.apply, Writer: writer,
		Disturb: w.disturb,
	}
}

// disturb changes the object beside its spec.
func (w *world) disturb(ctx context.Context) error {
	route, err := w.read(ctx)
	if err != nil {
		return err
	}
	before := route.DeepCopy()
	route.SetAnnotations(map[string]string{"example.org/disturbed": rand.Text()})
	return w.Patch(ctx, route, client.MergeFrom(before))
}
