package gitrepo

import (
	"context"
	"errors"
	"slices"

	"github.com/serin-gitops/serin/overlays"
)

// Merge moves target to include source.
func (r *repository) Merge(ctx context.Context, target, source string, change overlays.Change) (overlays.Written, error) {
	change.Branch = target
	if err := errors.Join(validChange(change), validBranch(source)); err != nil {
		return overlays.Written{}, err
	}
	var written overlays.Written
	err := r.replaying(ctx, func() (err error) {
		written, err = r.mergeOnce(ctx, target, source, change)
		return unwrapEdit(err)
	})
	return written, err
}

func (r *repository) mergeOnce(ctx context.Context, target, source string, change overlays.Change) (overlays.Written, error) {
	to, _, err := r.newest(ctx, target)
	if err != nil {
		return overlays.Written{}, err
	}
	from, _, err := r.newest(ctx, source)
	if err != nil {
		return overlays.Written{}, err
	}
	l := &line{repo: r, objects: r.objectsOf(to), head: to}
	into, err := l.objects.Commit(to)
	if err != nil {
		return overlays.Written{}, err
	}
	proposed, err := l.objects.Commit(from)
	if err != nil {
		return overlays.Written{}, err
	}
	nothing := overlays.Written{Revision: overlays.Revision(to.String()), Parent: overlays.Revision(to.String())}
	if from == to || slices.Contains(into.ParentHashes, from) {
		return nothing, nil
	}
	if slices.Contains(proposed.ParentHashes, to) {
		paths, err := l.objects.Differing(ctx, into.TreeHash, proposed.TreeHash)
		if err != nil {
			return overlays.Written{}, err
		}
		l.head = from
		written := overlays.Written{Revision: overlays.Revision(from.String()), Parent: nothing.Parent, Changed: true, Paths: paths}
		return written, r.publish(ctx, target, to, l)
	}
	written, err := l.apply(ctx, change, from)
	if err != nil || !written.Changed {
		return written, err
	}
	return written, r.publish(ctx, target, to, l)
}
