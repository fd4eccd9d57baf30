package probe

import (
	"bytes"
	"context"
	"errors"
	"io"

	"golang.org/x/sync/semaphore"
)

// What all looks together take of memory for answers, in bytes. Whoever may write a
// Rollout chooses the pods, so the number of them may not decide how much it is.
const (
	// maxTexts bounds the answers that are read at once, as far as each is longer
	// than freely; it is taken in pieces of that length.
	maxTexts = 32 << 20
	freely   = 64 << 10
	// maxValues bounds what those answers take, once parsed, that are evaluated at
	// once. The largest has room alone.
	maxValues = 64 << 20
)

// What parts of an answer take once parsed, roughly, in bytes.
const (
	objectWeight  = 350
	listWeight    = 48
	memberWeight  = 100
	elementWeight = 48
)

// errNotJudged is an answer that was not judged for want of room or time: no fault of
// the pod.
var errNotJudged = errors.New("no room or time for the answer")

// room is what answers share.
type room struct {
	texts, values *semaphore.Weighted
}

func newRoom() *room {
	return &room{texts: semaphore.NewWeighted(maxTexts), values: semaphore.NewWeighted(maxValues)}
}

// enter waits until an answer may be evaluated, for as long as patient. What waits
// here is soon served: evaluating takes no more than a bounded amount of computing.
func (r *room) enter(patient context.Context, text []byte) (giveBack func(), err error) {
	weight := min(weigh(text), maxValues)
	if r.values.Acquire(patient, weight) != nil {
		return nil, errNotJudged
	}
	return func() { r.values.Release(weight) }, nil
}

// weigh estimates what an answer takes once parsed, in bytes. It counts signs of
// JSON wherever they are, so that a text with many of them in its strings is taken
// for heavier than it is.
func weigh(text []byte) int64 {
	count := func(sign string) int64 { return int64(bytes.Count(text, []byte(sign))) }
	return int64(len(text)) + objectWeight*count("{") + listWeight*count("[") + memberWeight*count(":") + elementWeight*count(",")
}

// bounded reads an answer while there is room for it.
type bounded struct {
	from        io.Reader
	room        *semaphore.Weighted
	read, taken int64
}

// Read implements io.Reader. It fails with errNotJudged.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	for b.read += int64(n); b.read > b.taken+freely; b.taken += freely {
		// Who waited here would run into the timeout, and be taken for slow.
		if !b.room.TryAcquire(freely) {
			return 0, errNotJudged
		}
	}
	return n, err
}

func (b *bounded) giveBack() {
	b.room.Release(b.taken)
	b.taken = 0
}
