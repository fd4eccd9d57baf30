package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/store"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/trees"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/wire"
)

const (
	// attempts bounds the replays after lost races. Each lost race is another
	// writer's success.
	attempts = 30
	// refusals bounds the tries while the branch stays where it is and the host says
	// that it moved: another writer may hold it, or the host takes no such change.
	refusals = 10
	// batch is how many waiting writes go into one push.
	batch = 1000
	// writeTimeout bounds a push with all its replays.
	writeTimeout = 10 * time.Minute
)

// queue are the writes of one branch that wait for the one under way.
type queue struct {
	waiting []*job
}

// job is one waiting write.
type job struct {
	ctx    context.Context
	change overlays.Change
	done   chan outcome
}

type outcome struct {
	written overlays.Written
	err     error
}

func (j *job) end(written overlays.Written, err error) { j.done <- outcome{written, err} }

// Write queues a change and waits for its commit to be pushed. When the
// context ends first, the commit may still come about: an edit that is written
// again then changes nothing.
func (r *repository) Write(ctx context.Context, change overlays.Change) (overlays.Written, error) {
	if err := validChange(change); err != nil {
		return overlays.Written{}, err
	}
	j := &job{ctx: ctx, change: change, done: make(chan outcome, 1)}
	r.mu.Lock()
	q, busy := r.queues[change.Branch]
	if !busy {
		q = &queue{}
		r.queues[change.Branch] = q
	}
	q.waiting = append(q.waiting, j)
	r.mu.Unlock()
	if !busy {
		go r.serve(change.Branch, q)
	}
	select {
	case done := <-j.done:
		return done.written, done.err
	case <-ctx.Done():
		return overlays.Written{}, fmt.Errorf("write to %s: %w", change.Branch, ctx.Err())
	}
}

// serve writes what waits for a branch until nothing does.
func (r *repository) serve(branch string, q *queue) {
	for {
		r.mu.Lock()
		jobs := q.waiting[:min(len(q.waiting), batch)]
		q.waiting = q.waiting[len(jobs):]
		if len(jobs) == 0 {
			delete(r.queues, branch)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		for len(jobs) > 0 {
			n := 1
			for !isProposal(jobs[0]) && n < len(jobs) && !isProposal(jobs[n]) {
				n++
			}
			r.writeJobs(branch, jobs[:n])
			jobs = jobs[n:]
		}
	}
}

func isProposal(j *job) bool {
	return j.change.Base != "" && j.change.Base != j.change.Branch
}

// writeJobs writes direct changes in one push, or one proposal. The writes of
// others must not end with one caller's context, so it is cut off.
func (r *repository) writeJobs(branch string, jobs []*job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(jobs[0].ctx), writeTimeout)
	defer cancel()
	live := jobs[:0:0]
	for _, j := range jobs {
		if err := j.ctx.Err(); err != nil {
			j.end(overlays.Written{}, err)
			continue
		}
		live = append(live, j)
	}
	if len(live) == 0 {
		return
	}
	var err error
	if isProposal(live[0]) {
		var written overlays.Written
		if written, err = r.propose(ctx, live[0].change); err == nil {
			live[0].end(written, nil)
			return
		}
	} else if live, err = r.append(ctx, branch, live); err == nil {
		return
	}
	for _, j := range live {
		j.end(overlays.Written{}, err)
	}
}

// replaying does something again while the branch moves under it, and once more
// when the store is damaged.
func (r *repository) replaying(ctx context.Context, try func() error) error {
	var err error
	unmoved := 0
	for attempt := range attempts {
		err = r.mending(try)
		if !errors.Is(err, overlays.ErrMoved) {
			return err
		}
		var refused *refusedError
		if !errors.As(err, &refused) {
			unmoved = 0
		} else if unmoved++; unmoved == refusals {
			return r.remote.Refused(refused.branch, refused.err)
		}
		timer := time.NewTimer(time.Duration(attempt) * 10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w, and then: %w", err, ctx.Err())
		}
	}
	return err
}

// append writes direct changes upon the branch's tip, one commit each, in one
// push. It returns the jobs that were not ended.
func (r *repository) append(ctx context.Context, branch string, jobs []*job) ([]*job, error) {
	err := r.replaying(ctx, func() error {
		p, tip, err := r.pushing(ctx, branch)
		if err != nil {
			return err
		}
		defer p.Close()
		line := &line{repo: r, objects: r.objectsOf(tip), head: tip}
		if jobs, err = line.applyAll(ctx, jobs); err != nil {
			return err
		}
		if line.head != tip {
			if err := r.publish(ctx, p, branch, tip, line); err != nil {
				return err
			}
		}
		for i, j := range jobs {
			j.end(line.written[i], nil)
		}
		jobs = nil
		return nil
	})
	return jobs, err
}

// publish pushes a line of commits and keeps its objects. When the answer to
// the push was lost, the branch tells what became of it.
func (r *repository) publish(ctx context.Context, p *wire.Pushing, branch string, old plumbing.Hash, l *line) error {
	pack, err := encodePack(l.objects.Writes())
	if err != nil {
		return err
	}
	err = p.Push(ctx, branch, old, l.head, pack)
	if err != nil {
		a, refsErr := r.refs(ctx)
		switch {
		case refsErr != nil:
			return err
		case a.Branches[branch] == l.head:
		case a.Branches[branch] != old:
			// Whatever its words for that are.
			return r.remote.Moved(branch, "another commit came first")
		case errors.Is(err, overlays.ErrMoved):
			return &refusedError{branch, err}
		default:
			return err
		}
	}
	if r.store.AddObjects(l.objects.Writes()) == nil {
		// It is pushed, whatever becomes of the store: what is not kept there is
		// fetched again.
		_ = r.store.Keep(branch, l.head, l.commits...)
	}
	return nil
}

// refusedError: the host says that a branch moved which is where it was.
type refusedError struct {
	branch string
	err    error
}

// Error is the host's answer.
func (e *refusedError) Error() string { return e.err.Error() }

// Unwrap is the host's answer.
func (e *refusedError) Unwrap() error { return e.err }

// line is a row of new commits.
type line struct {
	repo    *repository
	objects *trees.Objects
	head    plumbing.Hash
	commits []plumbing.Hash
	written []overlays.Written
}

// applyAll applies the jobs in turn and returns those that stay; one whose
// edit fails is ended with the edit's error.
func (l *line) applyAll(ctx context.Context, jobs []*job) ([]*job, error) {
	var stay []*job
	for i, j := range jobs {
		made := l.objects.Made()
		written, err := l.apply(ctx, j.change)
		var failed *editError
		switch {
		case errors.As(err, &failed):
			l.objects.Drop(made)
			j.end(overlays.Written{}, failed.err)
			continue
		case err != nil:
			return append(stay, jobs[i:]...), err
		}
		stay = append(stay, j)
		l.written = append(l.written, written)
	}
	return stay, nil
}

// editError is what the Edit, or what it returned, is wrong with.
type editError struct{ err error }

// Error is the edit's own text.
func (e *editError) Error() string { return e.err.Error() }

// Unwrap is the edit's own error.
func (e *editError) Unwrap() error { return e.err }

// apply makes one commit upon the head.
func (l *line) apply(ctx context.Context, change overlays.Change, more ...plumbing.Hash) (overlays.Written, error) {
	parent := l.head
	at, err := l.objects.Commit(parent)
	if err != nil {
		return overlays.Written{}, err
	}
	tree, paths, err := l.edit(ctx, change, at.TreeHash)
	if err != nil {
		return overlays.Written{}, err
	}
	written := overlays.Written{Revision: overlays.Revision(parent.String()), Parent: overlays.Revision(parent.String()), Paths: paths}
	if len(paths) == 0 {
		return written, nil
	}
	hash, err := newCommit(l.objects, change, tree, append([]plumbing.Hash{parent}, more...)...)
	if err != nil {
		return overlays.Written{}, &editError{err}
	}
	l.head = hash
	l.commits = append(l.commits, hash)
	written.Revision, written.Changed = overlays.Revision(hash.String()), true
	return written, nil
}

// edit runs the edit on a tree.
func (l *line) edit(ctx context.Context, change overlays.Change, root plumbing.Hash) (plumbing.Hash, []string, error) {
	changed, err := change.Edit(trees.NewFiles(ctx, l.objects, root))
	if errors.Is(err, store.ErrDamaged) {
		return plumbing.ZeroHash, nil, err
	}
	if err != nil {
		return plumbing.ZeroHash, nil, &editError{err}
	}
	tree, paths, err := l.objects.Rewrite(ctx, root, changed)
	if err != nil && !errors.Is(err, store.ErrDamaged) && ctx.Err() == nil {
		err = &editError{err}
	}
	return tree, paths, err
}

// propose makes the branch the base's tip with one commit upon it. A proposal
// that says the same already is left as it is.
func (r *repository) propose(ctx context.Context, change overlays.Change) (overlays.Written, error) {
	var written overlays.Written
	err := r.replaying(ctx, func() error {
		p, base, err := r.pushing(ctx, change.Base)
		if err != nil {
			return err
		}
		defer p.Close()
		old := p.Branches[change.Branch]
		l := &line{repo: r, objects: r.objectsOf(base), head: base}
		if written, err = l.apply(ctx, change); err != nil || !written.Changed {
			return unwrapEdit(err)
		}
		if !old.IsZero() {
			same, err := r.sameProposal(ctx, change, old, l)
			if err != nil {
				return err
			}
			if same {
				written.Revision, written.Changed = overlays.Revision(old.String()), false
				return nil
			}
		}
		return r.publish(ctx, p, change.Branch, old, l)
	})
	return written, err
}

func unwrapEdit(err error) error {
	var failed *editError
	if errors.As(err, &failed) {
		return failed.err
	}
	return err
}

// sameProposal says whether the branch has this parent, tree and message.
func (r *repository) sameProposal(ctx context.Context, change overlays.Change, old plumbing.Hash, l *line) (bool, error) {
	if err := r.reach(ctx, change.Branch, old); err != nil {
		return false, err
	}
	was, err := l.objects.Commit(old)
	if err != nil {
		return false, err
	}
	is, err := l.objects.Commit(l.head)
	if err != nil {
		return false, err
	}
	return was.TreeHash == is.TreeHash && was.Message == is.Message &&
		len(was.ParentHashes) == 1 && was.ParentHashes[0] == is.ParentHashes[0], nil
}
