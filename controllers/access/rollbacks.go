package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// historyDepth is how many generations of commits a first look at a branch goes
// back for rollbacks.
const historyDepth = 5000

// rollbacks are the commits of a branch that reject something, the newest first,
// as far as it was seen.
type rollbacks struct {
	seen    overlays.Revision
	commits []overlays.Commit
}

// Rollbacks are the commits in the history of a source's tip that say by their
// trailers that an image was rejected, the newest first. The first look of a
// process goes historyDepth generations back; after that only what is new is
// read, and what Serin wrote upon what was seen is at hand.
func (g *Git) Rollbacks(ctx context.Context, namespace string, source v1alpha1.Source, tip overlays.Tip) ([]overlays.Commit, error) {
	key := keyOf(namespace, source)
	g.mu.Lock()
	known := g.rollbacks[key]
	g.mu.Unlock()
	if known.seen == tip.Revision {
		return known.commits, nil
	}
	fresh, err := g.since(ctx, namespace, source, tip, known.seen)
	if err != nil {
		return nil, err
	}
	next := rollbacks{seen: tip.Revision}
	for _, commit := range slices.Concat(fresh, known.commits) {
		again := slices.ContainsFunc(next.commits, func(c overlays.Commit) bool { return c.Revision == commit.Revision })
		if rejects(commit) && !again {
			next.commits = append(next.commits, commit)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rollbacks == nil || len(g.rollbacks) >= maxTips {
		g.rollbacks = map[string]rollbacks{}
	}
	g.rollbacks[key] = next
	return next.commits, nil
}

// since are the commits between what was seen last and the tip.
func (g *Git) since(ctx context.Context, namespace string, source v1alpha1.Source, tip overlays.Tip, seen overlays.Revision) ([]overlays.Commit, error) {
	if seen != "" && slices.Equal(tip.Parents, []overlays.Revision{seen}) {
		return []overlays.Commit{{Revision: tip.Revision, Parents: tip.Parents, Trailers: tip.Trailers}}, nil
	}
	repository, _, err := g.Open(ctx, namespace, source)
	if err != nil {
		return nil, err
	}
	commits, err := repository.History(ctx, tip.Revision, seen, historyDepth)
	if err != nil {
		return nil, fmt.Errorf("history of branch %s of %s: %w", source.Branch, Shown(source.URL), err)
	}
	return commits, nil
}

func rejects(commit overlays.Commit) bool {
	return slices.ContainsFunc(commit.Trailers, func(t overlays.Trailer) bool { return t.Key == environments.TrailerRejected })
}
