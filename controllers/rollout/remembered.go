package rollout

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// remembered is what this process noted last of each Rollout; nothing is the zero
// value. One that was deleted and made again under its name inherits nothing.
type remembered[V any] struct {
	mu    sync.Mutex
	notes map[types.NamespacedName]noted[V]
}

type noted[V any] struct {
	of    types.UID
	value V
}

func (r *remembered[V]) note(of client.Object, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes == nil {
		r.notes = map[types.NamespacedName]noted[V]{}
	}
	r.notes[client.ObjectKeyFromObject(of)] = noted[V]{of: of.GetUID(), value: value}
}

func (r *remembered[V]) clear(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notes, key)
}

func (r *remembered[V]) last(of client.Object) (value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.notes[client.ObjectKeyFromObject(of)]; last.of == of.GetUID() {
		return last.value
	}
	return value
}
