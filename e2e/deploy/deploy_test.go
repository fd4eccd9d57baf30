// Package deploy tests what is installed: the rights that Serin asks for, and
// how its pod runs.
package deploy

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/serin-gitops/serin/e2e/images"
)

var overlays = []string{"default", "embedded"}

func render(t *testing.T, overlay string) resmap.ResMap {
	t.Helper()
	root, err := images.Root()
	if err != nil {
		t.Fatal(err)
	}
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config", overlay))
	if err != nil {
		t.Fatalf("config/%s: %v", overlay, err)
	}
	return result
}

// each decodes every object of a kind.
func each[T any](t *testing.T, result resmap.ResMap, kind string, check func(T)) {
	t.Helper()
	found := 0
	for _, resource := range result.Resources() {
		if resource.GetKind() != kind {
			continue
		}
		found++
		fields, err := resource.Map()
		if err != nil {
			t.Fatal(err)
		}
		var object T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, &object, true); err != nil {
			t.Fatalf("%s %s: %v", kind, resource.GetName(), err)
		}
		check(object)
	}
	if found == 0 {
		t.Errorf("no %s is installed", kind)
	}
}

func TestLeastPrivilege(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			each(t, render(t, overlay), "ClusterRole", func(role rbacv1.ClusterRole) {
				for _, rule := range role.Rules {
					all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs)
					if slices.Contains(all, "*") {
						t.Errorf("%s has a wildcard: %v", role.Name, rule)
					}
					for _, verb := range []string{"escalate", "bind", "impersonate"} {
						if slices.Contains(rule.Verbs, verb) {
							t.Errorf("%s may %s: %v", role.Name, verb, rule)
						}
					}
					if role.Name == "serin" && slices.Contains(rule.Resources, "secrets") && !slices.Equal(rule.Verbs, []string{"get"}) {
						t.Errorf("secrets are read one by one only, not: %v", rule.Verbs)
					}
				}
			})
		})
	}
}

// writes are the verbs by which Serin's code writes, for each resource of its
// ClusterRole. A call that is new has to be added here, one that is gone removed.
var writes = map[string][]string{
	"releases": {"create", "delete"}, "analysisruns": {"create", "delete"}, "promotions": {"create"}, "rollouts": {"patch"},
	"pipelines/status": {"patch"}, "releases/status": {"patch"}, "promotions/status": {"patch"}, "rollouts/status": {"patch"},
	"analysisruns/status":  {"update"},
	"pipelines/finalizers": {"update"}, "releases/finalizers": {"update"}, "rollouts/finalizers": {"update"},
	"deployments": {"create", "delete", "patch"}, "services": {"create", "patch"}, "pods/status": {"patch"},
	"horizontalpodautoscalers": {"patch"}, "httproutes": {"update"}, "grpcroutes": {"update"},
	"kustomizations": {"patch"}, "gitrepositories": {"patch"}, "events": {"create", "patch"},
	"validatingwebhookconfigurations": {"update"},
}

func TestWritesAreNamedOneByOne(t *testing.T) {
	each(t, render(t, "default"), "ClusterRole", func(role rbacv1.ClusterRole) {
		if role.Name != "serin" {
			return
		}
		granted := map[string][]string{}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if !slices.Contains([]string{"get", "list", "watch"}, verb) {
						granted[resource] = append(granted[resource], verb)
					}
				}
			}
		}
		for _, verbs := range granted {
			slices.Sort(verbs)
		}
		if diff := cmp.Diff(writes, granted); diff != "" {
			t.Errorf("what Serin may write (-want +got):\n%s", diff)
		}
	})
}

func TestOnlyTheEmbeddedOverlayMayApply(t *testing.T) {
	for _, resource := range render(t, "default").Resources() {
		if strings.Contains(resource.GetName(), "sync") {
			t.Errorf("config/default installs %s %s", resource.GetKind(), resource.GetName())
		}
	}
}

func TestPodIsConfined(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			each(t, render(t, overlay), "Deployment", func(deployment appsv1.Deployment) {
				pod := deployment.Spec.Template.Spec
				if pod.SecurityContext == nil || pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot {
					t.Error("the pod may run as root")
				}
				for _, container := range pod.Containers {
					c := container.SecurityContext
					switch {
					case c == nil:
						t.Errorf("container %s is not confined", container.Name)
					case c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem:
						t.Errorf("container %s may write its root file system", container.Name)
					case c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation:
						t.Errorf("container %s may gain privileges", container.Name)
					case c.Capabilities == nil || !slices.Contains(c.Capabilities.Drop, "ALL"):
						t.Errorf("container %s keeps capabilities", container.Name)
					}
					if container.Resources.Limits.Memory().IsZero() {
						t.Errorf("container %s has no memory limit", container.Name)
					}
				}
			})
		})
	}
}

// Without its pod's name and UID Serin would wait for its own lease after a crash.
func TestPodHoldsTheLease(t *testing.T) {
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			each(t, render(t, overlay), "Deployment", func(deployment appsv1.Deployment) {
				got := map[string]string{}
				for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
					if variable.ValueFrom != nil && variable.ValueFrom.FieldRef != nil {
						got[variable.Name] = variable.ValueFrom.FieldRef.FieldPath
					}
				}
				want := map[string]string{"POD_NAMESPACE": "metadata.namespace", "POD_NAME": "metadata.name", "POD_UID": "metadata.uid"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("what the container knows of its pod (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What is not named in the policy cannot be reached: each port that the pod
// opens is in it, by a name that it has.
func TestEmbeddedPortsAreInTheNetworkPolicy(t *testing.T) {
	result := render(t, "embedded")
	ports := map[string]bool{}
	each(t, result, "Deployment", func(deployment appsv1.Deployment) {
		for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
			ports[port.Name] = false
		}
	})
	each(t, result, "NetworkPolicy", func(policy networkingv1.NetworkPolicy) {
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				if _, found := ports[port.Port.StrVal]; !found {
					t.Errorf("the policy opens %s, which the pod does not have", port.Port)
				}
				ports[port.Port.StrVal] = true
			}
		}
	})
	for name, opened := range ports {
		if !opened {
			t.Errorf("nobody reaches the port %s", name)
		}
	}
}
