package live

import (
	"cmp"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Flux' kinds, and the annotation that asks for a reconcile
// (https://fluxcd.io/flux/components/kustomize/kustomizations/#triggering-a-reconcile).
var (
	kustomizationKind = schema.GroupVersionKind{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"}
	gitRepositoryKind = schema.GroupVersionKind{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"}
)

const requestedAt = "reconcile.fluxcd.io/requestedAt"

// Synced is what whatever applies Git says of itself.
type Synced struct {
	// Failure is why it cannot, Suspended names the object that a person
	// suspended; both are empty where it works or does not say.
	Failure, Suspended string
}

// Sync asks Flux, where an Environment of a Pipeline in namespace from names its
// Kustomization, to reconcile the commit, once for each commit, and returns what
// it says. That Flux cannot be asked is its failure too: the commit is in Git,
// and Flux' own interval goes on.
func (c Cluster) Sync(ctx context.Context, from string, ref *v1alpha1.SyncReference, commit string) Synced {
	if ref == nil {
		return Synced{}
	}
	name := types.NamespacedName{Namespace: cmp.Or(ref.Namespace, from), Name: ref.Name}
	kustomization, err := c.askFlux(ctx, from, kustomizationKind, name, commit)
	if err != nil {
		log.FromContext(ctx).Info("Flux cannot be asked to reconcile", "error", err.Error())
		return Synced{Failure: err.Error()}
	}
	says := Synced{Failure: notReady(kustomization), Suspended: suspended(kustomization)}
	source, _, _ := unstructured.NestedStringMap(kustomization.Object, "spec", "sourceRef")
	if source["kind"] != gitRepositoryKind.Kind {
		return says
	}
	if source["namespace"] == "" {
		source["namespace"] = name.Namespace
	}
	repository, err := c.askFlux(ctx, from, gitRepositoryKind, types.NamespacedName{Namespace: source["namespace"], Name: source["name"]}, commit)
	if err != nil {
		says.Failure = err.Error()
		return says
	}
	says.Failure = cmp.Or(notReady(repository), says.Failure)
	says.Suspended = cmp.Or(says.Suspended, suspended(repository))
	return says
}

// suspended names an object of Flux that a person suspended, which it says
// nothing of in its conditions; empty where it is not.
func suspended(object *unstructured.Unstructured) string {
	if is, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend"); !is {
		return ""
	}
	return fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}

// askFlux reads one of Flux' objects and asks it to reconcile, where it was not
// asked for this commit yet.
func (c Cluster) askFlux(ctx context.Context, from string, kind schema.GroupVersionKind, name types.NamespacedName, commit string) (*unstructured.Unstructured, error) {
	if err := c.grants().Check(ctx, from, name.Namespace, kind.Kind+" "+name.String()); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	if err := c.Uncached.Get(ctx, name, object); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind.Kind, name, err)
	}
	if object.GetAnnotations()[requestedAt] == commit {
		return object, nil
	}
	patch := client.MergeFrom(object.DeepCopy())
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[requestedAt] = commit
	object.SetAnnotations(annotations)
	if err := c.Client.Patch(ctx, object, patch); err != nil {
		return nil, fmt.Errorf("annotate %s %s: %w", kind.Kind, name, err)
	}
	return object, nil
}

// notReady is the message of a false Ready condition.
func notReady(object *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		condition, ok := entry.(map[string]any)
		if ok && condition["type"] == "Ready" && condition["status"] == "False" {
			return fmt.Sprintf("%s %s/%s: %v", object.GetKind(), object.GetNamespace(), object.GetName(), condition["message"])
		}
	}
	return ""
}
