package promotion

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/promotion"
)

// A Release that fails in two regions of one wave is taken back in both: in each
// the first step is its quarantine there, and nothing follows before that is
// seen.
func TestQuarantineInTwoRegions(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	before := environments.Image{Repository: "registry/app", Tag: "v1"}
	bad := environments.Image{Repository: "registry/app", Tag: "v2"}
	release := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app-v2"}}
	release.Spec.Images = []v1alpha1.ReleaseImage{{ImageReference: convert.Reference(bad)}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(release).WithStatusSubresource(release).Build()
	all := []environments.Environment{{Name: "staging"}, {Name: "eu", After: []string{"staging"}}, {Name: "us", After: []string{"staging"}}}
	r := &Reconciler{Client: cluster, Recorder: events.NewFakeRecorder(10)}
	for _, region := range all[1:] {
		s := &scope{release: &v1alpha1.Release{}, environments: all, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
		s.record = environments.Promotion{Environment: region.Name, Phase: environments.RollingBack, Previous: []environments.Image{before}, Failure: "it crashes"}
		decide := func() promotion.Plan {
			if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(release), s.release); err != nil {
				t.Fatal(err)
			}
			known := convert.Release(*s.release)
			region.Return = environments.ReturnByCommit
			return promotion.DecidePromotion(promotion.Snapshot{
				Environment: region, Release: known, Promotion: s.record,
				Rejected: environments.RejectedImages(region.Name, []environments.Release{known}, all),
				Git:      promotion.Git{Known: true, Images: known.Images},
			}, s.now)
		}
		first := decide()
		if first.Action != promotion.QuarantineRelease {
			t.Fatalf("%s: first %q, want the quarantine", region.Name, first.Action)
		}
		if err := r.quarantine(t.Context(), s, first.Images); err != nil {
			t.Fatal(err)
		}
		if then := decide(); then.Action != promotion.RestoreByCommit {
			t.Errorf("%s: then %q, want Git restored", region.Name, then.Action)
		}
	}
}
