// Package hints spreads the news that something outside the cluster changed: a
// push to a Git repository, a new image in a registry. A hint says only where
// to look; what is there is always read from the source itself, so a hint that
// is repeated, late or false costs a look, and one that is lost is made good by
// the next look of the interval.
package hints

import (
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/event"
)

// Hint says where to look.
type Hint struct {
	// Git is the address of a repository, Branch the branch; an empty Branch
	// is every branch.
	Git, Branch string
	// PullRequests says that only pull requests changed: no branch moved.
	PullRequests bool
	// Image is an image's repository.
	Image string
}

// queued bounds the hints that wait for a listener; what does not fit is left
// to the interval.
const queued = 4096

// Hub spreads hints and numbers them, so that what was read before a hint is
// known to be old. The zero value is ready.
type Hub struct {
	mu        sync.Mutex
	listeners []chan event.TypedGenericEvent[Hint]
	// sent is the number of the last hint, last that of the last one about each
	// name. What is not in it was hinted at before forgotten.
	sent, forgotten uint64
	last            map[string]uint64
}

// Listen returns a channel of all hints from now on.
func (h *Hub) Listen() <-chan event.TypedGenericEvent[Hint] {
	h.mu.Lock()
	defer h.mu.Unlock()
	listener := make(chan event.TypedGenericEvent[Hint], queued)
	h.listeners = append(h.listeners, listener)
	return listener
}

// Send spreads a hint. It never blocks.
func (h *Hub) Send(hint Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent++
	if h.last == nil {
		h.last = map[string]uint64{}
	}
	for _, key := range hint.moved() {
		if _, known := h.last[key]; !known && len(h.last) >= queued {
			// Branches come and go, and a sender may make names up: start anew rather
			// than grow, which costs every reader one look.
			h.last, h.forgotten = map[string]uint64{}, h.sent
		}
		h.last[key] = h.sent
	}
	for _, listener := range h.listeners {
		select {
		case listener <- event.TypedGenericEvent[Hint]{Object: hint}:
		default:
		}
	}
}

// Moves says whether the hint may be about a move of this branch.
func (h Hint) Moves(url, branch string) bool {
	return h.Git != "" && !h.PullRequests && (h.Branch == "" || h.Branch == branch) && Path(h.Git) == Path(url)
}

// moved are the keys of what is not any more what was read before.
func (h Hint) moved() []string {
	var keys []string
	if h.Git != "" && !h.PullRequests {
		keys = append(keys, branchKey(h.Git, h.Branch))
	}
	if h.Image != "" {
		keys = append(keys, imageKey(h.Image))
	}
	return keys
}

// branchKey is of every branch where branch is empty. Neither a path nor a
// branch's name holds a space.
func branchKey(url, branch string) string { return "git " + Path(url) + " " + branch }

func imageKey(repository string) string { return "image " + Path(repository) }

// LastMove is the number of the last hint that a branch moved.
func (h *Hub) LastMove(url, branch string) uint64 {
	return max(h.number(branchKey(url, branch)), h.number(branchKey(url, "")))
}

// LastImage is the number of the last hint about an image.
func (h *Hub) LastImage(repository string) uint64 { return h.number(imageKey(repository)) }

func (h *Hub) number(key string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(h.last[key], h.forgotten)
}

// Path is what of an address names the repository on its host: the same one is
// reached under several host names, inside the cluster and outside.
func Path(address string) string {
	_, afterScheme, isURL := strings.Cut(address, "://")
	if isURL {
		address = afterScheme
	}
	host, rest, found := strings.Cut(address, "/")
	if found && (isURL || strings.ContainsAny(host, ".:@") || host == "localhost") {
		address = rest
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(strings.TrimSuffix(address, "/"), ".git"), "/"))
}
