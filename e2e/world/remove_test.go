package world

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/google/go-cmp/cmp"
)

// A demo that is ended half-way leaves what it made: the next one knows it again,
// and takes nothing that was there before any.
func TestMarkedAreWhatTheDemoMade(t *testing.T) {
	role := func(name string, labels map[string]string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	w := &World{Client: fake.NewClientBuilder().WithObjects(role("theirs", nil), role("earlier", map[string]string{demoLabel: "true"})).Build()}
	const head = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "
	text, err := w.marked(t.Context(), head+"theirs}\n"+head+"earlier}\n"+head+"new}\n"+
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n"+
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: space}\n")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, object := range objects {
		got[object.GetName()] = object.GetLabels()[demoLabel] != ""
	}
	want := map[string]bool{"theirs": false, "earlier": true, "new": true, "space": false, "inside": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labelled (-want +got):\n%s", diff)
	}
}
