package rollout

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// written remembers the versions of objects that this process wrote, so that
// it never decides on an older one that a cache still holds. After a start the
// caches are read afresh and it is rightly empty.
type written struct {
	mu       sync.Mutex
	versions map[types.UID]string
}

// note remembers the version that a write brought.
func (w *written) note(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[types.UID]string{}
	}
	w.versions[object.GetUID()] = object.GetResourceVersion()
}

// behind says whether the object, as it was read, is older than what was
// written; a version that cannot be compared counts as new.
func (w *written) behind(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, found := w.versions[object.GetUID()]
	if !found {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), version)
	if err != nil || order >= 0 {
		delete(w.versions, object.GetUID())
		return false
	}
	return true
}

// errBehind says that a cache has not caught up; the watch that brings it up
// wakes the controller again.
type errBehind struct{ object string }

func (e errBehind) Error() string {
	return fmt.Sprintf("%s: the cache is older than what was written", e.object)
}
