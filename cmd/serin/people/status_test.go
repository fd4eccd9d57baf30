package people

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func shop() []client.Object {
	pipeline := &v1alpha1.Pipeline{ObjectMeta: objectMeta("app")}
	pipeline.Status.LatestRelease = "app-v2"
	pipeline.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Message: "dev has app-v2, prod has app-v1"}}
	pipeline.Status.Environments = []v1alpha1.EnvironmentStatus{
		{Name: "dev", Release: "app-v2", Promotion: "app-dev-v2-1", Phase: v1alpha1.PromotionSucceeded},
		{Name: "prod", Release: "app-v1", Promotion: "app-prod-v2-1", Phase: v1alpha1.PromotionAwaitingApproval, Waiting: "not shown"},
	}
	promotion := promotionIn(v1alpha1.PromotionAwaitingApproval).(*v1alpha1.Promotion)
	promotion.Status.Message = "merge pull request 7"
	rollout := rolloutIn(v1alpha1.RolloutProgressing).(*v1alpha1.Rollout)
	rollout.Namespace = "prod"
	rollout.Status.Progress, rollout.Status.Weight, rollout.Status.Message = "1/3", 5, "step 1/3 at 5%"
	rollout.Status.Evidence = []string{"errors: canary 0 of 12 requests failed"}
	return []client.Object{pipeline, promotion, rollout, &v1alpha1.Rollout{ObjectMeta: objectMeta("new")}}
}

func TestStatus(t *testing.T) {
	for namespace, want := range map[string]string{
		"shop": `Pipeline app: newest Release app-v2
  dev has app-v2, prod has app-v1
  dev   app-v2  app-dev-v2-1   Succeeded         
  prod  app-v1  app-prod-v2-1  AwaitingApproval  merge pull request 7
Rollout new: not looked at yet, step -, weight 0%
`,
		"": `Pipeline shop/app: newest Release app-v2
  dev has app-v2, prod has app-v1
  dev   app-v2  app-dev-v2-1   Succeeded         
  prod  app-v1  app-prod-v2-1  AwaitingApproval  merge pull request 7
Rollout prod/web: Progressing, step 1/3, weight 5%
  step 1/3 at 5%
    errors: canary 0 of 12 requests failed
Rollout shop/new: not looked at yet, step -, weight 0%
`,
		"typo": "no Pipeline and no Rollout in namespace typo; serin status -A looks in all\n",
	} {
		all, err := look(t.Context(), clusterOf(t, shop()...), namespace)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := all.text(&out, namespace); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("namespace %q:\n%s", namespace, diff)
		}
	}
}

// A script reads lists, also where there is nothing.
func TestStatusJSON(t *testing.T) {
	for namespace, want := range map[string]map[string]int{
		"shop": {"pipelines": 1, "promotions": 1, "rollouts": 1},
		"typo": {"pipelines": 0, "promotions": 0, "rollouts": 0},
	} {
		all, err := look(t.Context(), clusterOf(t, shop()...), namespace)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := all.json(&out); err != nil {
			t.Fatal(err)
		}
		var read map[string][]map[string]any
		if err := json.Unmarshal(out.Bytes(), &read); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for kind, list := range read {
			if list == nil {
				t.Errorf("namespace %q: %s is null", namespace, kind)
			}
			got[kind] = len(list)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("namespace %q:\n%s", namespace, diff)
		}
	}
}
