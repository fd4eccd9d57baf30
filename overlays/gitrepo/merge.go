package gitrepo

import (
	"context"
	"errors"
	"slices"

	"github.com/serin-gitops/serin/overlays"
)

// Merge moves target to include source.
func (r *repository) Merge(ctx context.Context, target, source string, head overlays.Revision, change overlays.Change) (overlays.Written, error) {
	change.Branch = target
	if err := errors.Join(validChange(change), validBranch(source)); err != nil {
		return overlays.Written{}, err
	}
	var written overlays.Written
	err := r.replaying(ctx, func() (err error) {
		written, err = r.mergeOnce(ctx, target, source, head, change)
		return unwrapEdit(err)
	})
	var unapproved *sourceMoved
	if errors.As(err, &unapproved) {
		return overlays.Written{}, r.remote.Moved(source, unapproved.Error())
	}
	return written, err
}

// sourceMoved: what is to be merged is not what was approved. It is not ErrMoved
// until it is given back, for to try again does not help.
type sourceMoved struct{ at, approved overlays.Revision }

// Error names both commits.
func (e *sourceMoved) Error() string {
	return "it is at " + string(e.at) + ", and " + string(e.approved) + " was to be merged"
}

func (r *repository) mergeOnce(ctx context.Context, target, source string, head overlays.Revision, change overlays.Change) (overlays.Written, error) {
	p, to, err := r.pushing(ctx, target)
	if err != nil {
		return overlays.Written{}, err
	}
	defer p.Close()
	from, _, err := r.newest(ctx, source)
	if err != nil {
		return overlays.Written{}, err
	}
	if at := overlays.Revision(from.String()); at != head {
		return overlays.Written{}, &sourceMoved{at: at, approved: head}
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
		return written, r.publish(ctx, p, target, to, l)
	}
	written, err := l.apply(ctx, change, from)
	if err != nil || !written.Changed {
		return written, err
	}
	return written, r.publish(ctx, p, target, to, l)
}
