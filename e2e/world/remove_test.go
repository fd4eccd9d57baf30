package world

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/google/go-cmp/cmp"
)

// A demo that is ended half-way leaves what it made, and the next one knows it
// again; what somebody else installed is not overwritten.
func TestOthersAreRefused(t *testing.T) {
	w := &World{Client: fake.NewClientBuilder().WithObjects(
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "earlier", Labels: map[string]string{DemoLabel: "true"}}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inside", Namespace: "space"}},
	).Build()}
	for _, c := range []struct{ name, want string }{
		{"new", ""},
		{"earlier", ""},
		{"theirs", "ClusterRole theirs is in the cluster already and not the demo's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, err := decode(roleHead + c.name + "}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: space}\n")
			if err != nil {
				t.Fatal(err)
			}
			err = w.refuseOther(t.Context(), objects)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

const roleHead = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "

func TestMarkedIsWhatIsOutsideOfNamespaces(t *testing.T) {
	text, err := marked(roleHead + "role}\n" +
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: space}\n" +
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
		got[object.GetName()] = object.GetLabels()[DemoLabel] != ""
	}
	want := map[string]bool{"role": true, "space": false, "inside": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labelled (-want +got):\n%s", diff)
	}
}
