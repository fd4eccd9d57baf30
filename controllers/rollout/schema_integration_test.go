//go:build integration

package rollout_test

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestIntegrationTrafficIsFixedDuringTrial states that the API server takes no
// other route, nor none, while a route gives the canary its share: nothing would
// take it back from there.
func TestIntegrationTrafficIsFixedDuringTrial(t *testing.T) {
	e := setup(t)
	// A kind that no controller moves leaves the phase to this test.
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "app"},
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadReference{Kind: "StatefulSet", Name: "app"},
			Traffic:     v1alpha1.Traffic{Service: "app", RouteRef: &v1alpha1.RouteReference{Name: "app"}},
		},
	}
	if err := e.client.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	other, none := `{"spec":{"traffic":{"routeRef":{"name":"other"}}}}`, `{"spec":{"traffic":null}}`
	tests := []struct {
		phase, patch string
		taken        bool
	}{
		{"Progressing", other, false},
		{"Finalising", none, false},
		{"RollingBack", `{"spec":{"traffic":{"routeRef":null}}}`, false},
		{"Progressing", `{"spec":{"paused":true}}`, true},
		{"RolledBack", other, true},
		{"Healthy", none, true},
	}
	for _, test := range tests {
		phase := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"phase":"`+test.phase+`","weight":20,"reachedWeight":20}}`))
		if err := e.client.Status().Patch(t.Context(), ro, phase); err != nil {
			t.Fatal(err)
		}
		err := e.client.Patch(t.Context(), ro, client.RawPatch("application/merge-patch+json", []byte(test.patch)))
		if taken := err == nil; taken != test.taken || !taken && !apierrors.IsInvalid(err) {
			t.Errorf("while it is %s, %s is taken: %t (%v)", test.phase, test.patch, taken, err)
		}
	}
}
