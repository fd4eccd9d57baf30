package rollout

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// remembered is what this process noted last of each Rollout; nothing is the zero
// value.
type remembered[V any] struct {
	mu    sync.Mutex
	notes map[types.NamespacedName]V
}

func (r *remembered[V]) note(key types.NamespacedName, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes == nil {
		r.notes = map[types.NamespacedName]V{}
	}
	r.notes[key] = value
}

func (r *remembered[V]) clear(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notes, key)
}

func (r *remembered[V]) last(key types.NamespacedName) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes[key]
}
