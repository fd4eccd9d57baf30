package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	ssautil "github.com/fluxcd/pkg/ssa/utils"
	"github.com/serin-gitops/serin/overlays"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// waitTimeout bounds the wait for namespaces and definitions to be served
	// before what needs them is applied.
	waitTimeout = 30 * time.Second
	// maxReported bounds the error in the ConfigMap, in bytes.
	maxReported = 1024
)

// neverPruned are the kinds whose removal destroys data or whatever is in them;
// a person removes those.
var neverPruned = []string{"Namespace", "PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition"}

// Reconcile syncs one source: it looks at Git, and applies where the branch has
// moved or drift is due to be corrected.
func (s *Syncer) Reconcile(ctx context.Context, name string) (reconcile.Result, error) {
	src, found := s.sources[name]
	if !found {
		return reconcile.Result{}, fmt.Errorf("%s: %w", name, errUnknownSource)
	}
	again := reconcile.Result{RequeueAfter: src.Poll}
	tip, err := s.tip(ctx, src)
	if err == nil && s.atRest(src, tip.Revision) {
		return again, nil
	}
	record, recordErr := s.readRecord(ctx, src)
	if recordErr != nil {
		return reconcile.Result{}, errors.Join(err, recordErr)
	}
	if err == nil {
		err = s.sync(ctx, src, tip, record)
	}
	if err != nil {
		delete(s.applied, name)
		rep := report{revision: record.live.Annotations[AnnotationRevision], err: shorten(err)}
		return reconcile.Result{}, errors.Join(err, s.writeRecord(ctx, record, record.items, rep))
	}
	s.applied[name] = appliedState{revision: tip.Revision, at: s.now()}
	return again, nil
}

// atRest says whether this revision is applied and was looked after not long
// ago.
func (s *Syncer) atRest(src Source, revision overlays.Revision) bool {
	last := s.applied[src.Name]
	return last.revision == revision && s.now().Sub(last.at) < src.Interval
}

func (s *Syncer) tip(ctx context.Context, src Source) (overlays.Tip, error) {
	repository, err := s.repositories.Open(ctx, src.Remote)
	if err != nil {
		return overlays.Tip{}, fmt.Errorf("sync source %s: %w", src.Name, err)
	}
	tip, err := repository.Tip(ctx, src.Branch)
	if err != nil {
		return overlays.Tip{}, fmt.Errorf("sync source %s: branch %s: %w", src.Name, src.Branch, err)
	}
	return tip, nil
}

// sync applies a revision and prunes. The inventory lists an object before it
// is applied and until it is gone, so that a crash in between forgets none.
func (s *Syncer) sync(ctx context.Context, src Source, tip overlays.Tip, record *record) error {
	objects, err := s.render(src, tip)
	if err != nil {
		return err
	}
	wanted := inventoryOf(objects)
	gone := record.items.without(wanted)
	now := report{revision: record.live.Annotations[AnnotationRevision], err: record.live.Annotations[AnnotationError]}
	if len(wanted.without(record.items)) > 0 {
		if err := s.writeRecord(ctx, record, record.items.with(wanted), now); err != nil {
			return err
		}
	}
	options := ssa.DefaultApplyOptions()
	options.WaitInterval, options.WaitTimeout = 200*time.Millisecond, waitTimeout
	changes, err := s.resources.ApplyAllStaged(ctx, objects, options)
	if err != nil {
		return fmt.Errorf("sync source %s: revision %s: %w", src.Name, tip.Revision.Short(), err)
	}
	if err := s.prune(ctx, src, gone); err != nil {
		return err
	}
	logChanges(ctx, src, tip, changes)
	return s.writeRecord(ctx, record, wanted, report{revision: string(tip.Revision)})
}

// render gives the overlay's objects, labelled as this source's.
func (s *Syncer) render(src Source, tip overlays.Tip) ([]*unstructured.Unstructured, error) {
	manifests, err := overlays.Render(tip.Files, src.Path)
	if err != nil {
		return nil, fmt.Errorf("sync source %s: revision %s: %w", src.Name, tip.Revision.Short(), err)
	}
	objects, err := ssautil.ReadObjects(bytes.NewReader(manifests.YAML()))
	if err != nil {
		return nil, fmt.Errorf("sync source %s: revision %s: path %s: %w", src.Name, tip.Revision.Short(), src.Path, err)
	}
	if len(objects) == 0 {
		// An overlay emptied by mistake must not remove everything.
		return nil, fmt.Errorf("sync source %s: path %s of revision %s renders no object: nothing was applied or removed", src.Name, src.Path, tip.Revision.Short())
	}
	if err := normalize.UnstructuredList(objects); err != nil {
		return nil, fmt.Errorf("sync source %s: %w", src.Name, err)
	}
	if err := s.requireNamespaces(src, objects); err != nil {
		return nil, err
	}
	s.resources.SetOwnerLabels(objects, src.Name, src.Namespace)
	return objects, nil
}

// requireNamespaces refuses a namespaced object that does not say where it
// goes. A kind that is not served yet may be defined by this very overlay.
func (s *Syncer) requireNamespaces(src Source, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		if o.GetNamespace() != "" {
			continue
		}
		namespaced, err := s.client.IsObjectNamespaced(o)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sync source %s: %s: %w", src.Name, ssautil.FmtUnstructured(o), err)
		}
		if namespaced {
			return fmt.Errorf("sync source %s: %s has no metadata.namespace: set namespace in the kustomization of %s", src.Name, ssautil.FmtUnstructured(o), src.Path)
		}
	}
	return nil
}

// prune deletes what left the inventory and is still labelled as this source's.
func (s *Syncer) prune(ctx context.Context, src Source, gone inventory) error {
	objects, err := gone.objects()
	if err != nil {
		return fmt.Errorf("sync source %s: %w", src.Name, err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return slices.Contains(neverPruned, o.GetKind())
	})
	options := ssa.DefaultDeleteOptions()
	options.Inclusions = s.resources.GetOwnerLabels(src.Name, src.Namespace)
	options.Exclusions = map[string]string{PruneKey: PruneDisabled}
	for _, o := range objects {
		_, err := s.resources.Delete(ctx, o, options)
		// A kind that is served no more has no objects either.
		if err != nil && !meta.IsNoMatchError(err) {
			return fmt.Errorf("sync source %s: prune: %w", src.Name, err)
		}
	}
	return nil
}

func logChanges(ctx context.Context, src Source, tip overlays.Tip, changes *ssa.ChangeSet) {
	var changed []string
	for _, c := range changes.Entries {
		if c.Action != ssa.UnchangedAction && c.Action != ssa.SkippedAction {
			changed = append(changed, c.String())
		}
	}
	if len(changed) > 0 {
		logf.FromContext(ctx).Info("Applied", "source", src.Name, "revision", tip.Revision.Short(), "changes", changed)
	}
}

// shorten is the error's text, bounded.
func shorten(err error) string {
	text := err.Error()
	if len(text) > maxReported {
		text = text[:maxReported] + "..."
	}
	return text
}
