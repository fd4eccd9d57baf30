package access

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestGrants(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	away := errors.New("no route to host")
	for _, c := range []struct {
		name      string
		namespace *corev1.Namespace
		broken    error
		refused   bool
	}{
		{name: "says nothing", namespace: granting(""), refused: true},
		{name: "lets it in", namespace: granting("shop")},
		{name: "lets it in among others", namespace: granting("billing, shop ,x")},
		{name: "lets others in", namespace: granting("shop-a,ashop"), refused: true},
		{name: "lets all in", namespace: granting("*")},
		{name: "is not there", namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "else"}}},
		{name: "cannot be read", namespace: granting("shop"), broken: away},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(c.namespace).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if c.broken != nil {
						return c.broken
					}
					return w.Get(ctx, key, o, opts...)
				},
			}).Build()
			grants := Grants{Reader: cluster}
			err := grants.Check(t.Context(), "shop", "shop-prod", "Deployment shop-prod/web")
			var refusal *GrantError
			if is := errors.As(err, &refusal); is != c.refused || !is && !errors.Is(err, c.broken) {
				t.Fatalf("error %v, refused %t wanted", err, c.refused)
			}
			if c.refused && (!strings.Contains(err.Error(), "Deployment shop-prod/web") || !strings.Contains(err.Error(), `serin.dev/allow-pipelines-from: "shop"`)) {
				t.Errorf("%q does not say what was refused and what to do", err)
			}
			if err := grants.Check(t.Context(), "shop-prod", "shop-prod", "Deployment shop-prod/web"); err != nil {
				t.Errorf("its own Pipelines are refused: %v", err)
			}
		})
	}
}

func granting(allowed string) *corev1.Namespace {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop-prod"}}
	if allowed != "" {
		namespace.Annotations = map[string]string{v1alpha1.AnnotationAllowPipelines: allowed}
	}
	return namespace
}
