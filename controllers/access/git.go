package access

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/overlays"
)

// Git opens deploy repositories and remembers their tips, so that the many
// reconciles of one Pipeline's objects ask the host once.
type Git struct {
	Secrets      Secrets
	Repositories overlays.Repositories
	Hints        *hints.Hub
	// Now is the clock; it only says how old a remembered tip is.
	Now func() time.Time

	mu        sync.Mutex
	tips      map[string]remembered
	rollbacks map[string]rollbacks
}

type remembered struct {
	tip overlays.Tip
	at  time.Time
	// move is the number of the last hint that it was read after.
	move uint64
}

// maxTips bounds the tips that are remembered.
const maxTips = 4096

// Open opens a Pipeline's repository.
func (g *Git) Open(ctx context.Context, namespace string, source v1alpha1.Source) (overlays.Repository, overlays.Remote, error) {
	remote, err := g.Secrets.Git(ctx, namespace, source)
	if err != nil {
		return nil, overlays.Remote{}, err
	}
	repository, err := g.Repositories.Open(ctx, remote)
	if err != nil {
		return nil, overlays.Remote{}, fmt.Errorf("open %s: %w", Shown(source.URL), err)
	}
	return repository, remote, nil
}

// Tip is the tip of the source's branch, no older than maxAge and than the last
// hint about the branch.
func (g *Git) Tip(ctx context.Context, namespace string, source v1alpha1.Source, maxAge time.Duration) (overlays.Tip, error) {
	key := keyOf(namespace, source)
	// Taken before the look: a hint that comes meanwhile asks for another.
	move, now := g.Hints.LastMove(source.URL, source.Branch), g.Now()
	if known, ok := g.recall(key); ok && known.move == move && now.Sub(known.at) < maxAge {
		return known.tip, nil
	}
	repository, _, err := g.Open(ctx, namespace, source)
	if err != nil {
		return overlays.Tip{}, err
	}
	tip, err := repository.Tip(ctx, source.Branch)
	if err != nil {
		return overlays.Tip{}, fmt.Errorf("branch %s of %s: %w", source.Branch, Shown(source.URL), err)
	}
	g.remember(key, remembered{tip: tip, at: now, move: move})
	return tip, nil
}

// keyOf tells branches and the credentials they are read with apart.
func keyOf(namespace string, source v1alpha1.Source) string {
	key := namespace + " " + source.URL + " " + source.Branch
	if source.SecretRef != nil {
		key += " " + source.SecretRef.Name
	}
	return key
}

// Shown is a repository's address for people, without what may be a password in
// it.
func Shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		// The error repeats the address.
		return "the repository (its address cannot be read)"
	}
	parsed.User, parsed.RawQuery = nil, ""
	return parsed.String()
}

func (g *Git) recall(key string) (remembered, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.tips[key]
	return known, ok
}

func (g *Git) remember(key string, tip remembered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tips == nil || len(g.tips) >= maxTips {
		g.tips = map[string]remembered{}
	}
	g.tips[key] = tip
}

// Written tells everyone that Serin itself wrote to the repository.
func (g *Git) Written(source v1alpha1.Source) {
	g.Hints.Send(hints.Hint{Git: source.URL, Branch: source.Branch})
}
