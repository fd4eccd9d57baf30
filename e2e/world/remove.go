package world

import (
	"context"
	"fmt"
	"slices"
	"strings"

	ssautil "github.com/fluxcd/pkg/ssa/utils"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Remove takes out of an existing cluster what the world made there: its
// namespaces, and its definitions and roles, also those of a world that was ended
// half-way.
func (w *World) Remove(ctx context.Context) error {
	if err := w.clear(ctx); err != nil {
		return err
	}
	manifests, err := w.render(w.host.overlay())
	if err != nil {
		return err
	}
	objects, err := decode(manifests)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if !outsideNamespaces(object) {
			continue
		}
		live := object.DeepCopy()
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(object), live)
		if err == nil && live.GetLabels()[DemoLabel] != "" {
			err = w.Client.Delete(ctx, live)
		}
		if err != nil && !isGone(err) {
			return fmt.Errorf("remove %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// refuseOthers fails where something outside of namespaces that the world would
// install is there already and no earlier world's: a Serin of somebody's, which
// would be overwritten.
func (w *World) refuseOthers(ctx context.Context) error {
	manifests, err := w.render(w.host.overlay())
	if err != nil {
		return err
	}
	objects, err := decode(manifests)
	if err != nil {
		return err
	}
	return w.refuseOther(ctx, objects)
}

func (w *World) refuseOther(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if !outsideNamespaces(object) {
			continue
		}
		live := object.DeepCopy()
		switch err := w.Client.Get(ctx, client.ObjectKeyFromObject(object), live); {
		case err != nil && !isGone(err):
			return fmt.Errorf("look for %s %s: %w", object.GetKind(), object.GetName(), err)
		case err == nil && live.GetLabels()[DemoLabel] == "":
			return fmt.Errorf("%s %s is in the cluster already and not the demo's, as where Serin is installed, which the demo would overwrite: "+
				"nothing was changed; use a cluster without Serin, or remove it there", object.GetKind(), object.GetName())
		}
	}
	return nil
}

// marked are manifests in which what is outside of namespaces bears the label by
// which Remove finds it.
func marked(manifests string) (string, error) {
	objects, err := decode(manifests)
	if err != nil {
		return "", err
	}
	outside := slices.DeleteFunc(slices.Clone(objects), func(object *unstructured.Unstructured) bool { return !outsideNamespaces(object) })
	ssautil.SetCommonMetadata(outside, map[string]string{DemoLabel: "true"}, nil)
	return ssautil.ObjectsToYAML(objects)
}

// decode reads manifests.
func decode(manifests string) ([]*unstructured.Unstructured, error) {
	objects, err := ssautil.ReadObjects(strings.NewReader(manifests))
	if err != nil {
		return nil, fmt.Errorf("read what is installed: %w", err)
	}
	return objects, nil
}

// outsideNamespaces says whether an object is the cluster's; namespaces are
// cleared by themselves.
func outsideNamespaces(object *unstructured.Unstructured) bool {
	return object.GetNamespace() == "" && object.GetKind() != "Namespace"
}

// isGone says that an object is not there, or its kind is not.
func isGone(err error) bool { return apierrors.IsNotFound(err) || isNoKind(err) }
