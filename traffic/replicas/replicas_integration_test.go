//go:build integration

package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/traffic"
	"github.com/serin-gitops/serin/traffic/replicas"
)

const patience = 2 * time.Minute

// cluster gives a client and a namespace of the test's own.
func cluster(t *testing.T) (client.Client, string) {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		path = "../../.cache/sandbox/kubeconfig"
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatalf("no cluster for the tests (make sandbox-up starts one): %v", err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "replicas-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Delete(ctx, namespace); err != nil {
			t.Error(err)
		}
	})
	return c, namespace.Name
}

// pod makes a pod behind the Service; the canary's waits at the gate.
func pod(t *testing.T, c client.Client, namespace, name string, canary bool) {
	t.Helper()
	grace := int64(0)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "app"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers:                    []corev1.Container{{Name: "app", Image: sandbox.BootstrapPrefix + "/pause:1"}},
		},
	}
	if canary {
		p.Labels[replicas.LabelArm] = replicas.ArmCanary
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: replicas.GateTraffic}}
	}
	if err := c.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, seen func(context.Context) (bool, string)) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var met bool
		met, last = seen(ctx)
		return met, nil
	})
	if err != nil {
		t.Fatalf("waited for: %s; last seen: %s", what, last)
	}
}

func TestIntegrationTrafficFollowsTheGates(t *testing.T) {
	c, namespace := cluster(t)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "app"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if err := c.Create(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	pod(t, c, namespace, "stable-1", false)
	pod(t, c, namespace, "canary-1", true)
	gate := replicas.Gate{Client: c}
	router := replicas.Router{Client: c, Gate: gate}
	target := traffic.Target{Namespace: namespace, Service: "app", StableReplicas: 1}
	state := func(what string, want traffic.State) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) (bool, string) {
			got, err := router.Observe(ctx, target, 0)
			if err != nil {
				return false, err.Error()
			}
			return cmp.Equal(want, got), fmt.Sprintf("%+v", got)
		})
	}
	eventually(t, "both pods run", func(ctx context.Context) (bool, string) {
		var list corev1.PodList
		if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err.Error()
		}
		up := 0
		for _, p := range list.Items {
			for _, condition := range p.Status.Conditions {
				if condition.Type == corev1.ContainersReady && condition.Status == corev1.ConditionTrue {
					up++
				}
			}
		}
		return up == 2, fmt.Sprintf("%d are up", up)
	})
	closed := traffic.State{Reached: true, Released: true}
	state("the canary waits at its gate", closed)
	if err := gate.Set(t.Context(), namespace, "canary-1", true); err != nil {
		t.Fatal(err)
	}
	state("the canary has half of the traffic", traffic.State{Weight: 50, Reached: true})
	for range 2 {
		if err := router.Set(t.Context(), target, 0); err != nil {
			t.Fatal(err)
		}
	}
	state("the canary is dismissed", closed)
}

func TestIntegrationWhatIsNotThere(t *testing.T) {
	c, namespace := cluster(t)
	gate := replicas.Gate{Client: c}
	if err := gate.Set(t.Context(), namespace, "gone", false); err != nil {
		t.Errorf("closing the gate of a pod that is gone: %v", err)
	}
	if err := gate.Set(t.Context(), namespace, "gone", true); !errors.Is(err, traffic.ErrNotFound) {
		t.Errorf("opening the gate of a pod that is gone: %v, want ErrNotFound", err)
	}
	router := replicas.Router{Client: c, Gate: gate}
	if _, err := router.Observe(t.Context(), traffic.Target{Namespace: namespace, Service: "gone"}, 0); !errors.Is(err, traffic.ErrNotFound) {
		t.Errorf("observing a Service that is gone: %v, want ErrNotFound", err)
	}
}
