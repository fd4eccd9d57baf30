package people

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func clusterOf(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name}
}

func promotionIn(phase v1alpha1.PromotionPhase) client.Object {
	return &v1alpha1.Promotion{
		ObjectMeta: objectMeta("app-prod-v2-1"),
		Spec:       v1alpha1.PromotionSpec{Pipeline: "app", Environment: "prod", Release: "app-v2"},
		Status:     v1alpha1.PromotionStatus{Phase: phase},
	}
}

func rolloutIn(phase v1alpha1.RolloutPhase) client.Object {
	return &v1alpha1.Rollout{ObjectMeta: objectMeta("web"), Status: v1alpha1.RolloutStatus{Phase: phase}}
}

// requestOf finds a request by the first word of its use.
func requestOf(t *testing.T, name string) request {
	t.Helper()
	for _, r := range requests() {
		if word, _, _ := strings.Cut(r.use, " "); word == name {
			return r
		}
	}
	t.Fatalf("no command %s", name)
	return request{}
}

// What the controller would refuse is refused at the terminal, and nothing is
// written.
func TestAskRefuses(t *testing.T) {
	pipeline := &v1alpha1.Pipeline{ObjectMeta: objectMeta("app"), Spec: v1alpha1.PipelineSpec{Environments: []v1alpha1.Environment{{Name: "dev"}, {Name: "prod"}}}}
	release := &v1alpha1.Release{ObjectMeta: objectMeta("app-v2"), Spec: v1alpha1.ReleaseSpec{Pipeline: "app"}}
	foreign := &v1alpha1.Release{ObjectMeta: objectMeta("other-v2"), Spec: v1alpha1.ReleaseSpec{Pipeline: "other"}}
	for _, c := range []struct {
		object  client.Object
		command string
		says    string
	}{
		{promotionIn(v1alpha1.PromotionAwaitingApproval), "approve app-prod-v2-1", ""},
		{promotionIn(v1alpha1.PromotionAwaitingApproval), "reject app-prod-v2-1", ""},
		{promotionIn(v1alpha1.PromotionApplying), "reject app-prod-v2-1", ""},
		{promotionIn(v1alpha1.PromotionApplying), "approve app-prod-v2-1", "nothing to approve"},
		{promotionIn(v1alpha1.PromotionSucceeded), "reject app-prod-v2-1", "it has ended (Succeeded)"},
		{promotionIn(v1alpha1.PromotionApplying), "approve nobody", "there is no Promotion nobody in namespace shop"},
		{pipeline, "retry app prod", ""},
		{pipeline, "retry app production", "it has no environment production; it has dev, prod"},
		{pipeline, "resume app production", "it has no environment production"},
		{pipeline, "promote app prod app-v2", ""},
		{pipeline, "promote app prod app-v3", "it has no Release app-v3"},
		{pipeline, "promote app prod other-v2", "it has no Release other-v2"},
		{rolloutIn(v1alpha1.RolloutProgressing), "pause web", ""},
		{rolloutIn(v1alpha1.RolloutHealthy), "pause web", "it is Healthy, and only a trial takes pause"},
		{rolloutIn(v1alpha1.RolloutHealthy), "retry-rollout web", "only a revision that was rolled back"},
		{rolloutIn(""), "abort web", "is Serin running?"},
	} {
		t.Run(c.command+" "+c.says, func(t *testing.T) {
			words := strings.Fields(c.command)
			r := requestOf(t, words[0])
			cluster := clusterOf(t, c.object, release, foreign)
			err := r.ask(t.Context(), cluster, client.ObjectKey{Namespace: "shop", Name: words[1]}, words[2:], "because", time.Now())
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			after := r.object()
			if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(c.object), after); err != nil {
				t.Fatal(err)
			}
			asked := after.GetAnnotations()[v1alpha1.AnnotationRequest]
			if want := strings.Join(append([]string{r.word}, words[2:]...), "/") + "@"; c.says == "" && !strings.HasPrefix(asked, want) || c.says != "" && asked != "" {
				t.Errorf("annotations %v", after.GetAnnotations())
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ command, says string }{
		{"approve", `missing: PROMOTION; use it as "approve PROMOTION`},
		{"promote app", "missing: ENVIRONMENT and RELEASE"},
		{"abort web prod", `"prod" is too much; use it as "abort ROLLOUT`},
		{"abort prod/web", `ROLLOUT cannot be "prod/web": it is a name`},
		{"promote app prod app-v2", ""},
	} {
		words := strings.Fields(c.command)
		command := requestOf(t, words[0]).command()
		err := command.Args(command, words[1:])
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: error %v, want one that says %q", c.command, err, c.says)
		}
	}
}
