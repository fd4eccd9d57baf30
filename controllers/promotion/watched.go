package promotion

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// watched remembers when the workloads of each Promotion were looked at last, so
// that time in which nobody looked is not held against a Release: a process that
// was down, an API server that did not answer, a clock that was set forward. A
// new process knows of no look. The zero value is ready.
type watched struct {
	mu sync.Mutex
	at map[types.NamespacedName]time.Time
}

// patience is how far apart two looks may be, for looks at each interval that
// may fail once.
func patience(interval time.Duration) time.Duration { return 2*interval + 2*time.Minute }

// gap is how long nobody has looked at a Promotion whose clock runs since a
// moment; 0 where that is no longer than longest.
func (w *watched) gap(name types.NamespacedName, since, now time.Time, longest time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if since.IsZero() {
		return 0
	}
	if last, known := w.at[name]; known && last.After(since) {
		since = last
	}
	// Round takes the monotonic reading off: a clock that was set forward is a gap.
	if gap := now.Round(0).Sub(since.Round(0)); gap > longest {
		return gap
	}
	return 0
}

// note says that a Promotion was looked at, and that this is reported.
func (w *watched) note(name types.NamespacedName, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at = map[types.NamespacedName]time.Time{}
	}
	w.at[name] = now.Round(0)
}

// forget drops a Promotion that ended or is gone.
func (w *watched) forget(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.at, name)
}
