package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// projectRoot is where the tests find the project.
func projectRoot(t *testing.T) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func render(t *testing.T, overlay string, change Overlay) resmap.ResMap {
	t.Helper()
	files, err := DeployTree(projectRoot(t), map[string]Overlay{overlay: change})
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for path, content := range files {
		path = filepath.Join(directory, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), filepath.Join(directory, "deploy/overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// decoder knows the kinds of the example and refuses unknown fields.
func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(scheme), gatewayv1.Install(scheme)); err != nil {
		t.Fatal(err)
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func TestObjectsHaveOnlyKnownFields(t *testing.T) {
	strict := decoder(t)
	for _, overlay := range []string{"dev", "staging", "prod"} {
		rendered := render(t, overlay, Overlay{Components: []string{"hostpath", "gateway"}})
		for _, resource := range rendered.Resources() {
			text, err := resource.AsYAML()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := strict.Decode(text, nil, nil); err != nil {
				t.Errorf("%s: %s/%s: %v", overlay, resource.GetKind(), resource.GetName(), err)
			}
		}
	}
}

func names(rendered resmap.ResMap) []string {
	found := []string{}
	for _, resource := range rendered.Resources() {
		found = append(found, strings.TrimPrefix(resource.GetNamespace()+"/", "/")+resource.GetKind()+"/"+resource.GetName())
	}
	slices.Sort(found)
	return found
}

// field reads one value of one rendered object by kind and path.
func field(t *testing.T, rendered resmap.ResMap, kind, name, path string) any {
	t.Helper()
	for _, resource := range rendered.Resources() {
		if resource.GetKind() == kind && resource.GetName() == name {
			value, err := resource.GetFieldValue(path)
			if err != nil {
				t.Fatalf("%s/%s: %s: %v", kind, name, path, err)
			}
			return value
		}
	}
	t.Fatalf("no %s/%s is rendered", kind, name)
	return nil
}

func TestOverlaysRender(t *testing.T) {
	tests := map[string]struct {
		replicas int
		memory   string
	}{
		"dev": {1, "64Mi"}, "staging": {2, "96Mi"}, "prod": {4, "128Mi"},
	}
	const container = "spec.template.spec.containers.0."
	secrets := map[any]string{}
	for overlay, want := range tests {
		t.Run(overlay, func(t *testing.T) {
			rendered := render(t, overlay, Overlay{})
			ns := "ipfs-" + overlay
			if diff := cmp.Diff([]string{
				"Namespace/" + ns,
				ns + "/ConfigMap/ipfs-config",
				ns + "/Deployment/ipfs-worker",
				ns + "/NetworkPolicy/ipfs-kit",
				ns + "/Secret/ipfs-cluster",
				ns + "/Service/ipfs-join",
				ns + "/Service/ipfs-master",
				ns + "/Service/ipfs-worker",
				ns + "/StatefulSet/ipfs-master",
			}, slices.Sorted(slices.Values(names(rendered)))); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if got := field(t, rendered, "Deployment", "ipfs-worker", "spec.replicas"); got != want.replicas {
				t.Errorf("workers: got %v, want %d", got, want.replicas)
			}
			for kind, name := range map[string]string{"Deployment": "ipfs-worker", "StatefulSet": "ipfs-master"} {
				if got := field(t, rendered, kind, name, container+"image"); got != "registry.local:5000/ipfs-kit:v1.0.0" {
					t.Errorf("image of %s: %v", name, got)
				}
				if got := field(t, rendered, kind, name, container+"resources.limits.memory"); got != want.memory {
					t.Errorf("memory of %s: got %v, want %s", name, got, want.memory)
				}
				if got := field(t, rendered, kind, name, container+"volumeMounts.0.readOnly"); got != true {
					t.Errorf("the configuration of %s is not mounted read-only", name)
				}
			}
			secret := field(t, rendered, "Secret", "ipfs-cluster", "stringData.CLUSTER_SECRET")
			if other, taken := secrets[secret]; taken {
				t.Errorf("%s shares its secret with %s", overlay, other)
			}
			secrets[secret] = overlay
		})
	}
}

func TestOverlayWithComponentsAndDigest(t *testing.T) {
	rendered := render(t, "prod", Overlay{
		Components: []string{"hostpath", "gateway"}, NewName: "gitea.local:3000/serin/ipfs-kit", Tag: "v1.2.3", Digest: digest,
	})
	const image = "gitea.local:3000/serin/ipfs-kit:v1.2.3@" + digest
	tests := []struct {
		kind, name, path string
		want             any
	}{
		{"PersistentVolume", "ipfs-prod-ipfs-master-0", "spec.claimRef.namespace", "ipfs-prod"},
		{"PersistentVolume", "ipfs-prod-ipfs-master-0", "spec.hostPath.path", "/var/lib/ipfs-kit/ipfs-prod/ipfs-master-0"},
		{"PersistentVolume", "ipfs-prod-ipfs-master-0", "spec.claimRef.name", "data-ipfs-master-0"},
		{"StatefulSet", "ipfs-master", "spec.template.spec.initContainers.0.image", image},
		{"StatefulSet", "ipfs-master", "spec.template.spec.containers.0.image", image},
		{"Deployment", "ipfs-worker", "spec.template.spec.containers.0.image", image},
		{"HTTPRoute", "ipfs-worker", "metadata.namespace", "ipfs-prod"},
		{"HTTPRoute", "ipfs-worker", "spec.rules.0.backendRefs.0.name", "ipfs-worker"},
	}
	for _, test := range tests {
		if got := field(t, rendered, test.kind, test.name, test.path); got != test.want {
			t.Errorf("%s/%s %s: got %v, want %v", test.kind, test.name, test.path, got, test.want)
		}
	}
}

func TestDeployTreeRefusesUnknownOverlay(t *testing.T) {
	if _, err := DeployTree(projectRoot(t), map[string]Overlay{"qa": {}}); err == nil || !strings.Contains(err.Error(), `"qa"`) {
		t.Errorf("got error %v, want one that names the overlay", err)
	}
}
