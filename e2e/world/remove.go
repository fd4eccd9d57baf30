package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	writer "sigs.k8s.io/yaml"
)

// Remove takes out of an existing cluster what the world made there: its
// namespaces, and the definitions and roles that were not there before, also
// those of a world that was ended half-way.
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
		if err == nil && live.GetLabels()[demoLabel] != "" {
			err = w.Client.Delete(ctx, live)
		}
		if err != nil && !isGone(err) {
			return fmt.Errorf("remove %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// marked are manifests in which what is outside of namespaces, and not there yet
// or there by an earlier world, bears the label by which Remove finds it.
func (w *World) marked(ctx context.Context, manifests string) (string, error) {
	objects, err := decode(manifests)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, object := range objects {
		if outsideNamespaces(object) {
			live := object.DeepCopy()
			err := w.Client.Get(ctx, client.ObjectKeyFromObject(object), live)
			if err != nil && !isGone(err) {
				return "", fmt.Errorf("look for %s %s: %w", object.GetKind(), object.GetName(), err)
			}
			if err != nil || live.GetLabels()[demoLabel] != "" {
				setDemoLabel(object)
			}
		}
		text, err := writer.Marshal(object)
		if err != nil {
			return "", fmt.Errorf("write %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		out.WriteString("---\n" + string(text))
	}
	return out.String(), nil
}

// decode reads manifests.
func decode(manifests string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(manifests)), 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("read what is installed: %w", err)
		case object.GetKind() != "":
			objects = append(objects, object)
		}
	}
}

// outsideNamespaces says whether an object is the cluster's; namespaces are
// cleared by themselves.
func outsideNamespaces(object *unstructured.Unstructured) bool {
	return object.GetNamespace() == "" && object.GetKind() != "Namespace"
}

func setDemoLabel(object *unstructured.Unstructured) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[demoLabel] = "true"
	object.SetLabels(labels)
}

// isGone says that an object is not there, or its kind is not.
func isGone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
