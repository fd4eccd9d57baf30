package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Remove takes out of an existing cluster what the world made there: its
// namespaces, and the definitions and roles that were not there before.
func (w *World) Remove(ctx context.Context) error {
	if err := w.clear(ctx); err != nil {
		return err
	}
	for _, object := range w.made {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, object)); err != nil && !meta.IsNoMatchError(err) {
			return fmt.Errorf("remove %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// remember notes which of the objects outside namespaces are not there yet.
func (w *World) remember(ctx context.Context, manifests string) error {
	w.made = nil
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(manifests)), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what is installed: %w", err)
		}
		if object.GetNamespace() != "" || object.GetKind() == "" || object.GetKind() == "Namespace" {
			continue
		}
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopy())
		switch {
		case err == nil:
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			w.made = append(w.made, object)
		default:
			return err
		}
	}
}
