package registry

import (
	"bytes"
	"net/http"
)

// recorder keeps an answer of the inner handler until it is known whether it
// may be given.
type recorder struct {
	code   int
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter: the first one counts.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// replay runs a request against the inner handler, any number of times.
func replay(handler http.Handler, req *http.Request) *recorder {
	if req.GetBody != nil {
		// From a bytes.Reader; it does not fail.
		req.Body, _ = req.GetBody()
	}
	answer := &recorder{header: http.Header{}}
	handler.ServeHTTP(answer, req)
	answer.WriteHeader(http.StatusOK)
	return answer
}

// forward passes a recorded answer on.
func forward(w http.ResponseWriter, answer *recorder) {
	for key, values := range answer.header {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.code)
	// A client that is gone needs no answer.
	_, _ = w.Write(answer.body.Bytes())
}
