package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// TestAccept wants what is wrong said until it is right, and nothing said of a
// trial that is judged by what was right at its start.
func TestAccept(t *testing.T) {
	wrong := errors.New("check errors: ratio.total: parse error")
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3}}
	for _, step := range []struct {
		phase string
		err   error
		want  bool
	}{
		{"Healthy", nil, false},
		{"Progressing", wrong, false},
		{"Healthy", wrong, true},
		{"Progressing", nil, true},
		{"RolledBack", nil, false},
	} {
		r := &Reconciler{Accept: func(context.Context, *v1alpha1.Rollout) error { return step.err }}
		ro.Status.Phase = v1alpha1.RolloutPhase(step.phase)
		r.accept(t.Context(), ro)
		found := meta.FindStatusCondition(ro.Status.Conditions, "AnalysisInvalid")
		if (found != nil) != step.want {
			t.Fatalf("%+v: condition %+v", step, found)
		}
		if found != nil && (found.Status != metav1.ConditionTrue || found.Message != wrong.Error() || found.ObservedGeneration != 3) {
			t.Errorf("condition %+v", found)
		}
	}
	(&Reconciler{}).accept(t.Context(), ro)
	if len(ro.Status.Conditions) > 0 {
		t.Errorf("conditions %+v, want none", ro.Status.Conditions)
	}
}

// TestTemplatesWake wants the Rollouts that use a template woken by it alone.
func TestTemplatesWake(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	uses := func(namespace, name string, refs ...v1alpha1.TemplateReference) client.Object {
		return &v1alpha1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       v1alpha1.RolloutSpec{Analysis: v1alpha1.Analysis{Templates: refs}},
		}
	}
	own, all := v1alpha1.TemplateReference{Name: "red"}, v1alpha1.TemplateReference{Kind: v1alpha1.KindClusterAnalysisTemplate, Name: "red"}
	r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		uses("shop", "own", own), uses("shop", "all", all), uses("shop", "neither", v1alpha1.TemplateReference{Name: "blue"}), uses("api", "own", own), uses("api", "all", all),
	).Build()}
	for _, test := range []struct {
		kind     string
		template client.Object
		want     []string
	}{
		{v1alpha1.KindAnalysisTemplate, &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "red"}}, []string{"shop/own"}},
		{v1alpha1.KindClusterAnalysisTemplate, &v1alpha1.ClusterAnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "red"}}, []string{"api/all", "shop/all"}},
	} {
		var got []string
		for _, request := range r.ofTemplate(test.kind)(t.Context(), test.template) {
			got = append(got, request.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s wakes %s, want %s", test.kind, fmt.Sprint(got), fmt.Sprint(test.want))
		}
	}
}
