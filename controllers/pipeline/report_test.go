package pipeline

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestSummaryNamesReleasesByTheirTags(t *testing.T) {
	image := v1alpha1.ImageReference{Repository: "registry.test/app", Tag: "v1.1.0"}
	s := &scope{
		pipeline: &v1alpha1.Pipeline{},
		releases: []v1alpha1.Release{{
			ObjectMeta: metav1.ObjectMeta{Name: "app-v1-1-0-abc"},
			Spec:       v1alpha1.ReleaseSpec{Images: []v1alpha1.ReleaseImage{{ImageReference: image}}},
		}},
		promotions: []v1alpha1.Promotion{{
			ObjectMeta: metav1.ObjectMeta{Name: "app-dev-v1-1-0-abc-1"}, Spec: v1alpha1.PromotionSpec{Release: "app-v1-1-0-abc"},
		}},
	}
	before := []v1alpha1.ImageReference{{Repository: "registry.test/app", Tag: "v1.0.0"}}
	got := s.summary([]v1alpha1.EnvironmentStatus{
		{Name: "dev", Images: before, Promotion: "app-dev-v1-1-0-abc-1", Phase: v1alpha1.PromotionRollingOut},
		{Name: "staging", Images: before, Waiting: "Release app-v1-1-0-abc: has not succeeded in dev yet"},
		{Name: "prod", Images: before, Waiting: "Release app-v0-9-0-gone: soaks"},
		{Name: "lab", Held: "a person changed Git"},
	})
	want := "dev v1.0.0 (v1.1.0: rolling out), staging v1.0.0 (v1.1.0: has not succeeded in dev yet), " +
		"prod v1.0.0 (Release app-v0-9-0-gone: soaks), lab nothing (held)"
	if got != want {
		t.Errorf("summary\n%s, want\n%s", got, want)
	}
}
