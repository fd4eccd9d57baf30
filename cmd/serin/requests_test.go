package main

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// What the controller would refuse is refused at the terminal, and nothing is
// written.
func TestAskRefuses(t *testing.T) {
	for _, c := range []struct {
		phase v1alpha1.PromotionPhase
		word  string
		says  string
	}{
		{v1alpha1.PromotionAwaitingApproval, v1alpha1.RequestApprove, ""},
		{v1alpha1.PromotionAwaitingApproval, v1alpha1.RequestReject, ""},
		{v1alpha1.PromotionApplying, v1alpha1.RequestReject, ""},
		{v1alpha1.PromotionApplying, v1alpha1.RequestApprove, "nothing to approve"},
		{v1alpha1.PromotionSucceeded, v1alpha1.RequestReject, "it has ended (Succeeded)"},
	} {
		t.Run(string(c.phase)+" "+c.word, func(t *testing.T) {
			promotion := &v1alpha1.Promotion{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app-prod-v2-1"},
				Spec:       v1alpha1.PromotionSpec{Pipeline: "app", Environment: "prod", Release: "app-v2"},
				Status:     v1alpha1.PromotionStatus{Phase: c.phase},
			}
			cluster := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(promotion).Build()
			key := types.NamespacedName{Namespace: "shop", Name: "app-prod-v2-1"}
			err := ask(t.Context(), cluster, &v1alpha1.Promotion{}, key, c.word, "because", time.Now())
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			var after v1alpha1.Promotion
			if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(promotion), &after); err != nil {
				t.Fatal(err)
			}
			if asked := after.Annotations[v1alpha1.AnnotationRequest] != ""; asked != (c.says == "") {
				t.Errorf("annotations %v", after.Annotations)
			}
		})
	}
}
