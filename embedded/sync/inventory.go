package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/object"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// inventoryKey is the ConfigMap's entry with the list.
const inventoryKey = "inventory"

// entry is one applied object: its id as NAMESPACE_NAME_GROUP_KIND, and its
// version (the form of Flux's inventories).
type entry struct {
	ID      string `json:"id"`
	Version string `json:"v"`
}

// inventory is what a source has applied, sorted by id.
type inventory []entry

// inventoryOf lists objects.
func inventoryOf(objects []*unstructured.Unstructured) inventory {
	list := inventory{}
	for _, o := range objects {
		list = append(list, entry{
			ID:      object.UnstructuredToObjMetadata(o).String(),
			Version: o.GroupVersionKind().Version,
		})
	}
	return list.sorted()
}

func (i inventory) sorted() inventory {
	slices.SortFunc(i, func(a, b entry) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(i, func(a, b entry) bool { return a.ID == b.ID })
}

// with is all of i and what only others lists.
func (i inventory) with(others inventory) inventory {
	return append(slices.Clone(i), others.without(i)...).sorted()
}

// without is what i lists and others does not.
func (i inventory) without(others inventory) inventory {
	return slices.DeleteFunc(slices.Clone(i), func(e entry) bool {
		return slices.ContainsFunc(others, func(o entry) bool { return o.ID == e.ID })
	})
}

// objects turns entries into references to live objects.
func (i inventory) objects() ([]*unstructured.Unstructured, error) {
	var list []*unstructured.Unstructured
	for _, e := range i {
		id, err := object.ParseObjMetadata(e.ID)
		if err != nil {
			return nil, fmt.Errorf("inventory entry %q: %w", e.ID, err)
		}
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(schema.GroupVersionKind{Group: id.GroupKind.Group, Version: e.Version, Kind: id.GroupKind.Kind})
		o.SetNamespace(id.Namespace)
		o.SetName(id.Name)
		list = append(list, o)
	}
	return list, nil
}

// record is the ConfigMap of one source as it was read, and what to write.
type record struct {
	live   *corev1.ConfigMap
	items  inventory
	exists bool
}

func (s *Syncer) readRecord(ctx context.Context, src Source) (*record, error) {
	r := &record{live: &corev1.ConfigMap{}}
	key := client.ObjectKey{Namespace: src.Namespace, Name: src.InventoryName()}
	err := s.client.Get(ctx, key, r.live)
	if apierrors.IsNotFound(err) {
		r.live.Name, r.live.Namespace = key.Name, key.Namespace
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inventory ConfigMap %s: %w", key, err)
	}
	r.exists = true
	if text := r.live.Data[inventoryKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &r.items); err != nil {
			return nil, fmt.Errorf("inventory ConfigMap %s: entry %s is not a list of objects: %w (delete the ConfigMap to start anew; nothing is pruned then)", key, inventoryKey, err)
		}
	}
	return r, nil
}

// report is what the ConfigMap says of a sync.
type report struct {
	revision string
	err      string
}

// writeRecord writes list and report where they differ from what is there, so
// that a sync that changed nothing writes nothing.
func (s *Syncer) writeRecord(ctx context.Context, r *record, items inventory, rep report) error {
	text, err := json.Marshal(items)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	old := r.live.Annotations
	if r.exists && r.live.Data[inventoryKey] == string(text) &&
		old[AnnotationRevision] == rep.revision && old[AnnotationError] == rep.err {
		return nil
	}
	next := r.live.DeepCopy()
	metav1.SetMetaDataLabel(&next.ObjectMeta, "app.kubernetes.io/managed-by", FieldManager)
	setOrDelete(next, AnnotationRevision, rep.revision)
	setOrDelete(next, AnnotationError, rep.err)
	setOrDelete(next, AnnotationTime, s.now().UTC().Format(time.RFC3339))
	next.Data = map[string]string{inventoryKey: string(text)}
	if r.exists {
		err = s.client.Update(ctx, next, client.FieldOwner(FieldManager))
	} else {
		err = s.client.Create(ctx, next, client.FieldOwner(FieldManager))
	}
	if err != nil {
		return fmt.Errorf("inventory ConfigMap %s/%s: %w", next.Namespace, next.Name, err)
	}
	r.live, r.items, r.exists = next, items, true
	return nil
}

func setOrDelete(o *corev1.ConfigMap, key, value string) {
	if value == "" {
		delete(o.Annotations, key)
		return
	}
	metav1.SetMetaDataAnnotation(&o.ObjectMeta, key, value)
}
