package people

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

const nobody = `apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: here, namespace: shop}}]
current-context: here
`

// kubeconfig gives a file whose cluster nobody answers for.
func kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(nobody), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for says, conn := range map[string]Connection{
		"no cluster is known": {},
		"no such file":        {kubeconfig: "/nowhere"},
		"elsewhere":           {kubeconfig: kubeconfig(t), context: "elsewhere"},
	} {
		if _, _, err := conn.Open(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}

func TestExplain(t *testing.T) {
	cluster, namespace, err := (&Connection{kubeconfig: kubeconfig(t)}).Open()
	if err != nil || namespace != "shop" {
		t.Fatalf("namespace %q: %v", namespace, err)
	}
	_, refused := look(t.Context(), cluster, namespace)
	pipelines := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "pipelines"}
	for says, err := range map[string]error{
		"the cluster does not answer":                refused,
		"does not know Serin's kinds":                &apimeta.NoKindMatchError{GroupKind: schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "Pipeline"}},
		"serin-view":                                 apierrors.NewForbidden(pipelines, "app", nil),
		"does not accept the credentials":            apierrors.NewUnauthorized("expired"),
		"there is no Pipeline app in namespace shop": apierrors.NewNotFound(pipelines, "app"),
	} {
		got := Named(err, "Pipeline", client.ObjectKey{Namespace: "shop", Name: "app"})
		if got == nil || !strings.Contains(got.Error(), says) || strings.Contains(got.Error(), "\n") {
			t.Errorf("%v: %v, want one line that says %q", err, got, says)
		}
	}
}
