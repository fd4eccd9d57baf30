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
	// Image is an image's repository.
	Image string
}

// queued bounds the hints that wait for a listener; what does not fit is left
// to the interval.
const queued = 4096

// Hub spreads hints and counts them, so that what was read before a hint is
// known to be old. The zero value is ready.
type Hub struct {
	mu        sync.Mutex
	listeners []chan event.TypedGenericEvent[Hint]
	counts    map[string]uint64
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
	if h.counts == nil {
		h.counts = map[string]uint64{}
	}
	for _, key := range hint.keys() {
		if _, known := h.counts[key]; !known && len(h.counts) >= queued {
			// So many names can only come from a sender that makes them up: start
			// anew rather than grow. Readers see other counts and look once more.
			h.counts = map[string]uint64{}
		}
		h.counts[key]++
	}
	for _, listener := range h.listeners {
		select {
		case listener <- event.TypedGenericEvent[Hint]{Object: hint}:
		default:
		}
	}
}

func (h Hint) keys() []string {
	var keys []string
	if h.Git != "" {
		keys = append(keys, "git "+Path(h.Git))
	}
	if h.Image != "" {
		keys = append(keys, "image "+Path(h.Image))
	}
	return keys
}

// GitCount is how many hints there were about a repository.
func (h *Hub) GitCount(url string) uint64 { return h.count("git " + Path(url)) }

// ImageCount is how many hints there were about an image.
func (h *Hub) ImageCount(repository string) uint64 { return h.count("image " + Path(repository)) }

func (h *Hub) count(key string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[key]
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
