package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func template(check string) v1alpha1.AnalysisTemplateSpec {
	return v1alpha1.AnalysisTemplateSpec{
		Parameters: []v1alpha1.Parameter{{Name: "path"}},
		Checks:     []v1alpha1.Check{{Name: check, HTTP: &v1alpha1.HTTPCheck{Endpoint: v1alpha1.Endpoint{Port: 80, Path: "${path}"}}}},
	}
}

// TestTemplates wants the checks of both kinds of template in the AnalysisRun,
// also where they have the same name.
func TestTemplates(t *testing.T) {
	analyst, trial := newTrial(t, "127.0.0.1")
	trial.Canary = nil
	args := []v1alpha1.Argument{{Name: "path", Value: "/health"}}
	trial.Rollout.Spec.Analysis.Templates = []v1alpha1.TemplateReference{
		{Name: "shared", Args: args}, {Kind: v1alpha1.KindClusterAnalysisTemplate, Name: "shared", Args: args},
	}
	own := &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shared"}, Spec: template("own")}
	if err := analyst.Client.Create(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if _, err := analyst.Look(t.Context(), trial); err == nil || !strings.Contains(err.Error(), "ClusterAnalysisTemplate shared: ") {
		t.Errorf("error %v, want one that names the missing ClusterAnalysisTemplate", err)
	}
	all := &v1alpha1.ClusterAnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "shared"}, Spec: template("everyone")}
	if err := analyst.Client.Create(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := analyst.Look(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	var runs v1alpha1.AnalysisRunList
	if err := analyst.Client.List(t.Context(), &runs); err != nil || len(runs.Items) != 1 {
		t.Fatalf("%d AnalysisRuns, %v; want one", len(runs.Items), err)
	}
	var got []string
	for _, check := range runs.Items[0].Spec.Checks {
		got = append(got, check.Name+" "+check.HTTP.Path)
	}
	if diff := cmp.Diff([]string{"own /health", "everyone /health"}, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

// TestTooLarge has the API server refuse a record for its size, and wants the
// trial to go on with one that begins with what was found so far.
func TestTooLarge(t *testing.T) {
	for _, refusal := range []error{
		apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
		apierrors.NewInternalError(errors.New("etcdserver: request is too large")),
	} {
		analyst, trial := newTrial(t, "127.0.0.1")
		trial.Canary = nil
		refused := 0
		analyst.Client = interceptor.NewClient(analyst.Client.(client.WithWatch), interceptor.Funcs{
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, object client.Object, options ...client.SubResourceUpdateOption) error {
				if refused++; refused == 1 {
					return refusal
				}
				return c.SubResource(sub).Update(ctx, object, options...)
			},
		})
		if _, err := analyst.Look(t.Context(), trial); err != nil {
			t.Errorf("%v: %v", refusal, err)
		}
		var runs v1alpha1.AnalysisRunList
		if err := analyst.Client.List(t.Context(), &runs); err != nil || len(runs.Items) != 1 || refused != 2 {
			t.Fatalf("%d AnalysisRuns after %d attempts, %v", len(runs.Items), refused, err)
		}
		if status := runs.Items[0].Status; status.Record == "" || status.State == "" {
			t.Errorf("%v: record of %d bytes, state of %d", refusal, len(status.Record), len(status.State))
		}
	}
}

// TestHistory takes twelve trials and wants the newest records kept.
func TestHistory(t *testing.T) {
	for _, tc := range []struct {
		history int32
		want    []int64
	}{{2, []int64{11, 12}}, {0, []int64{3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}} {
		t.Run(fmt.Sprint(tc.history), func(t *testing.T) {
			analyst, trial := newTrial(t, "127.0.0.1")
			trial.Canary = nil
			trial.Rollout.Spec.Analysis.History = tc.history
			for n := range int64(12) {
				trial.Rollout.Status.Trial = n + 1
				if _, err := analyst.Look(t.Context(), trial); err != nil {
					t.Fatal(err)
				}
			}
			var runs v1alpha1.AnalysisRunList
			if err := analyst.Client.List(t.Context(), &runs); err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, run := range runs.Items {
				got = append(got, run.Spec.Trial)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("trials kept (-want +got):\n%s", diff)
			}
		})
	}
}
