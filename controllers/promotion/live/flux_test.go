package live

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// flux makes one of Flux' objects in namespace flux-system.
func flux(kind schema.GroupVersionKind, spec map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(kind)
	object.SetNamespace("flux-system")
	object.SetName("app")
	return object
}

func TestSync(t *testing.T) {
	source := map[string]any{"kind": "GitRepository", "name": "app"}
	ref := &v1alpha1.SyncReference{Name: "app", Namespace: "flux-system"}
	for _, c := range []struct {
		name                      string
		allowed                   string
		kustomization, repository map[string]any
		want                      Synced
		refused, asked            bool
	}{
		{"goes on", "shop", map[string]any{"sourceRef": source}, map[string]any{}, Synced{}, false, true},
		{"suspended", "shop", map[string]any{"sourceRef": source, "suspend": true}, map[string]any{}, Synced{Suspended: "Kustomization flux-system/app"}, false, true},
		{"its source is suspended", "shop", map[string]any{"sourceRef": source}, map[string]any{"suspend": true}, Synced{Suspended: "GitRepository flux-system/app"}, false, true},
		{"in a namespace that lets nobody in", "", map[string]any{"sourceRef": source}, map[string]any{}, Synced{}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := corev1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}
			if c.allowed != "" {
				namespace.Annotations = map[string]string{v1alpha1.AnnotationAllowPipelines: c.allowed}
			}
			cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(namespace,
				flux(kustomizationKind, c.kustomization), flux(gitRepositoryKind, c.repository)).Build()
			got := Cluster{Client: cluster, Uncached: cluster}.Sync(t.Context(), "shop", ref, "0123abc")
			if c.refused {
				if !strings.Contains(got.Failure, "does not let Pipelines of namespace shop use Kustomization flux-system/app") {
					t.Errorf("failure %q", got.Failure)
				}
			} else if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			for _, kind := range []schema.GroupVersionKind{kustomizationKind, gitRepositoryKind} {
				object := flux(kind, nil)
				if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
					t.Fatal(err)
				}
				if asked := object.GetAnnotations()[requestedAt] == "0123abc"; asked != c.asked {
					t.Errorf("%s was asked: %t, want %t", kind.Kind, asked, c.asked)
				}
			}
		})
	}
}
