package rollout

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestSentTo states which pods get requests: those that a slice with a port lists
// and does not call unready, whatever number of slices a Service has.
func TestSentTo(t *testing.T) {
	yes, no := true, false
	endpoint := func(kind, name string, ready *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Conditions: discoveryv1.EndpointConditions{Ready: ready},
			TargetRef:  &corev1.ObjectReference{Kind: kind, Name: name},
		}
	}
	slice := func(service string, ports int, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			Ports:      make([]discoveryv1.EndpointPort, ports),
			Endpoints:  endpoints,
		}
	}
	got := sentTo([]discoveryv1.EndpointSlice{
		slice("web-canary", 1, endpoint("Pod", "a", &yes), endpoint("Pod", "b", &no), endpoint("Pod", "c", nil)),
		slice("web-canary", 2, endpoint("Pod", "d", &yes), endpoint("Pod", "a", &yes)),
		slice("web-canary", 0, endpoint("Pod", "without-port", &yes)),
		slice("web-canary", 1, endpoint("Node", "no-pod", &yes), discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}}),
		slice("web-stable", 1, endpoint("Pod", "s", &yes)),
		slice("web-empty", 1, endpoint("Pod", "e", &no)),
	})
	want := map[string]sets.Set[string]{"web-canary": sets.New("a", "c", "d"), "web-stable": sets.New("s")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOfEndpoints states that slices of a canary's Service wake its Rollout, and no
// others anybody.
func TestOfEndpoints(t *testing.T) {
	wake := []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web"}}}
	for name, test := range map[string]struct {
		rollout, service string
		want             []reconcile.Request
	}{
		"canary":          {"web", "app" + canarySuffix, wake},
		"stable":          {"web", "app" + stableSuffix, nil},
		"user's":          {"web", "app", nil},
		"of no Rollout":   {"", "app" + canarySuffix, nil},
		"without Service": {"web", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{
				v1alpha1.LabelRollout: test.rollout, discoveryv1.LabelServiceName: test.service,
			}}}
			if diff := cmp.Diff(test.want, ofEndpoints(t.Context(), slice)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadySince(t *testing.T) {
	at := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, LastTransitionTime: metav1.NewTime(at.Add(-time.Hour))},
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(at)},
	}}}
	if got := readySince(pod); !got.Equal(at) {
		t.Errorf("since %s, want %s", got, at)
	}
	if got := readySince(&corev1.Pod{}); !got.IsZero() {
		t.Errorf("a pod without the condition: since %s, want no time", got)
	}
}
