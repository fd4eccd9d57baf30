//go:build integration

package promotion_test

import (
	"context"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// contended is a client to whom somebody else is quicker: the next writes of a
// Release's status, as many as conflicts says, find the object changed.
type contended struct {
	client.Client
	conflicts *atomic.Int32
}

// Status gives a writer that meets the conflicts.
func (c contended) Status() client.SubResourceWriter {
	return contendedStatus{c.Client.Status(), c.conflicts}
}

type contendedStatus struct {
	client.SubResourceWriter
	conflicts *atomic.Int32
}

// Patch fails as the API server does for an old resource version.
func (c contendedStatus) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	if _, isRelease := object.(*v1alpha1.Release); isRelease && c.conflicts.Add(-1) >= 0 {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "releases"}, object.GetName(), nil)
	}
	return c.SubResourceWriter.Patch(ctx, object, patch, options...)
}

// silentOnConflicts: the conflicts were met, and people did not read of them.
func (w *world) silentOnConflicts() {
	w.t.Helper()
	if left := w.conflicts.Load(); left > 0 {
		w.t.Errorf("%d conflicts were not met", left)
	}
	var events corev1.EventList
	w.must(w.client.List(w.t.Context(), &events, client.InNamespace(w.namespace)))
	if len(events.Items) == 0 {
		w.t.Error("there is no event at all")
	}
	for _, event := range events.Items {
		if strings.Contains(event.Message, "cannot quarantine") {
			w.t.Errorf("%s %s: %s", event.Reason, event.InvolvedObject.Name, event.Message)
		}
	}
}
