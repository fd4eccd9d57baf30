// Package pace bounds how long a client may take over a request of an embedded
// server. Uploads and clones of gigabytes take long on their own, so there is
// no time-out for a whole request; but who sends or takes slower than a least
// rate is hung up on, whether it stands still or drips a byte at a time.
package pace

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// Grace is what a client may take beyond its bytes in either direction: for
	// a slow start, or one pause.
	Grace = 30 * time.Second
	// Rate is the least number of bytes a second, on the average.
	Rate = 16 << 10
)

// Limits of Handler; a zero field means the constant of its name.
type Limits struct {
	Grace time.Duration
	Rate  int64
}

// Handler serves by next and hangs up on slow clients. Only the time that is
// spent waiting for the client counts, not that which next takes.
func Handler(next http.Handler, limits Limits) http.Handler {
	if limits.Grace <= 0 {
		limits.Grace = Grace
	}
	if limits.Rate <= 0 {
		limits.Rate = Rate
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		out := &writer{ResponseWriter: w, meter: meter{limits: limits, set: control.SetWriteDeadline}}
		// What is written after next has returned is bounded too.
		out.arm()
		if r.Body != nil && r.Body != http.NoBody {
			in := &reader{ReadCloser: r.Body, meter: meter{limits: limits, set: control.SetReadDeadline}}
			// A body that next does not read is read away by net/http.
			in.arm()
			r = r.Clone(r.Context())
			r.Body = in
		}
		next.ServeHTTP(out, r)
	})
}

// meter counts what one direction has carried and how long that took.
type meter struct {
	limits Limits
	set    func(time.Time) error
	bytes  int64
	spent  time.Duration
}

// arm sets the deadline to what is left. A connection without deadlines, as in
// a test, has no time to bound.
func (m *meter) arm() {
	allowed := m.limits.Grace + time.Duration(float64(m.bytes)/float64(m.limits.Rate)*float64(time.Second))
	_ = m.set(time.Now().Add(allowed - m.spent))
}

// measure runs one read or write under the deadline.
func (m *meter) measure(do func([]byte) (int, error), p []byte) (int, error) {
	m.arm()
	began := time.Now()
	n, err := do(p)
	m.spent += time.Since(began)
	m.bytes += int64(n)
	return n, err
}

// reader is a request's body.
type reader struct {
	io.ReadCloser
	meter
}

// Read implements io.Reader. At the end of the body the deadline is lifted:
// net/http then watches the connection for its end, and would take a deadline
// for one while the answer is still worked on.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.measure(r.ReadCloser.Read, p)
	if errors.Is(err, io.EOF) {
		_ = r.set(time.Time{})
	}
	return n, err
}

// writer is the answer.
type writer struct {
	http.ResponseWriter
	meter
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) { return w.measure(w.ResponseWriter.Write, p) }

// Unwrap lets net/http find what the original can do.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
