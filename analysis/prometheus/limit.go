package prometheus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

// What is read of one answer. Whoever may write a Rollout chooses the server and
// the query, so neither may decide how much memory the controller takes.
const (
	// maxAnswer is in bytes, as they are once unpacked: more than a million samples.
	maxAnswer = 32 << 20
	// maxRefusal bounds, in bytes, the answers of another status than 2xx.
	maxRefusal = 1 << 20
	// maxObjects bounds the objects of JSON: two for a series, one for a sample of a
	// native histogram. Each costs many times its text.
	maxObjects = 200_000
	// maxLists bounds its lists: one for a sample, one for a bucket.
	maxLists = 2_000_000
	// maxToken bounds the answer of a token endpoint in bytes.
	maxToken = 1 << 20
	// maxReading bounds, in bytes, all answers that are read at once, as far as
	// they are longer than freely.
	maxReading = 128 << 20
	freely     = 1 << 20
)

// excess is an answer that is too large. It is not the source's outage, and
// never counted.
type excess struct{ what string }

// Error implements error.
func (e *excess) Error() string {
	return e.what + ", and was not read to its end: narrow the query by label matchers, or look at shorter windows"
}

// share is what one question takes of what all may read at once.
type share struct {
	of    *semaphore.Weighted
	mu    sync.Mutex
	taken int64
	over  bool
}

type shareKey struct{}

// withShare lets what is read under a context count until it is given back,
// which is when the answer is no longer needed as it came.
func withShare(ctx context.Context, of *semaphore.Weighted) (with context.Context, giveBack func()) {
	s := &share{of: of}
	return context.WithValue(ctx, shareKey{}, s), s.giveBack
}

func shareOf(ctx context.Context) *share {
	s, _ := ctx.Value(shareKey{}).(*share)
	return s
}

// take is false where all has been taken, or the question is over.
func (s *share) take(n int64) bool {
	if s == nil || s.of == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.of.TryAcquire(n) {
		return false
	}
	s.taken += n
	return true
}

func (s *share) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.of != nil && s.taken > 0 {
		s.of.Release(s.taken)
	}
	s.taken = 0
}

// limited bounds the answers of a server.
type limited struct {
	next    http.RoundTripper
	longest int64
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	longest := l.longest
	if response.StatusCode/100 != 2 {
		longest = min(longest, maxRefusal)
	}
	response.Body = &limitedBody{ReadCloser: response.Body, announced: response.ContentLength, longest: longest, share: shareOf(request.Context())}
	return response, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (l *limited) CloseIdleConnections() {
	if closer, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// limitedBody counts what is read of an answer.
type limitedBody struct {
	io.ReadCloser
	// announced is the length that the server gave, below 0 where it gave none.
	announced, longest int64
	length, covered    int64
	objects, lists     int
	share              *share
	failed             error
}

// Read implements io.Reader. It fails with an *excess.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.failed == nil && b.announced > b.longest {
		b.failed = tooLong(b.longest)
	}
	if b.failed != nil {
		return 0, b.failed
	}
	n, err := b.ReadCloser.Read(p)
	b.length += int64(n)
	b.objects += bytes.Count(p[:n], []byte("{"))
	b.lists += bytes.Count(p[:n], []byte("["))
	if b.failed = b.check(); b.failed != nil {
		return 0, b.failed
	}
	return n, err
}

func (b *limitedBody) check() error {
	switch {
	case b.length > b.longest:
		return tooLong(b.longest)
	case b.objects > maxObjects:
		return &excess{fmt.Sprintf("the answer holds more than %d series", maxObjects/2)}
	case b.lists > maxLists:
		return &excess{fmt.Sprintf("the answer holds more than %d samples", maxLists)}
	}
	for b.length > max(b.covered, freely) {
		if !b.share.take(freely) {
			return &excess{fmt.Sprintf("the answers that are read at once are larger than %d MiB together, this one among them", maxReading>>20)}
		}
		b.covered += freely
	}
	return nil
}

func tooLong(longest int64) error {
	return &excess{fmt.Sprintf("the answer is larger than %d MiB", longest>>20)}
}
