package gitserver

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/serin-gitops/serin/embedded/internal/login"
)

// maxNegotiation bounds the wants and haves of one fetch, in bytes after
// decompression: some 300,000 object ids.
const maxNegotiation = 16 << 20

// request is one call of a service on one repository.
type request struct {
	name    string
	service string
	// advertise is true for the first call, which lists the references.
	advertise bool
	user      User
}

// ServeHTTP answers the three calls of smart HTTP: GET NAME/info/refs, POST
// NAME/git-upload-pack and POST NAME/git-receive-pack; ".git" after the name
// may be left out.
func (s *Server) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w := &answer{ResponseWriter: to}
	call, status := parseRequest(r)
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	if status := s.authorize(r, &call); status != http.StatusOK {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	if err := s.ensure(call); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			http.Error(w, fmt.Sprintf("repository %s: not found", call.name), http.StatusNotFound)
			return
		}
		s.fail(w, call, err)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	s.serve(w, r, call)
}

// answer knows whether it has begun: after that no status can be sent.
type answer struct {
	http.ResponseWriter
	begun bool
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// WriteHeader sends the status.
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets net/http find what the original can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (s *Server) serve(w *answer, r *http.Request, call request) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if call.advertise {
		w.Header().Set("Content-Type", fmt.Sprintf("application/x-%s-advertisement", call.service))
		if err := advertise(w, openStore(s.path(call.name)), call.service); err != nil {
			s.fail(w, call, err)
		}
		return
	}
	defer s.use(call.name)()
	limit := int64(maxNegotiation)
	if call.service == transport.ReceivePackServiceName {
		limit = s.options.MaxPushBytes
		if r.ContentLength > limit {
			http.Error(w, tooLarge(limit), http.StatusRequestEntityTooLarge)
			return
		}
	}
	body, err := requestBody(w, r, limit)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", fmt.Sprintf("application/x-%s-result", call.service))
	if call.service == transport.ReceivePackServiceName {
		err = s.receivePack(w, body, call)
	} else {
		err = uploadPack(r.Context(), w, body, openStore(s.path(call.name)))
	}
	if err != nil && r.Context().Err() == nil {
		s.fail(w, call, err)
	}
}

// fail answers with an error where nothing was answered yet; a client that
// reads a pack has been told in its side band.
func (s *Server) fail(w *answer, call request, err error) {
	var tooMany *http.MaxBytesError
	var bad *protocolError
	text, status := "", http.StatusInternalServerError
	switch {
	case errors.As(err, &tooMany):
		text, status = tooLarge(tooMany.Limit), http.StatusRequestEntityTooLarge
	case errors.As(err, &bad):
		text, status = bad.Error(), http.StatusBadRequest
	default:
		text = http.StatusText(status)
		s.options.Log.Error("git server", "repository", call.name, "service", call.service, "error", err)
	}
	if !w.begun {
		http.Error(w, text, status)
	}
}

func tooLarge(limit int64) string {
	return fmt.Sprintf("the request is larger than %d bytes: push less at once, or raise the server's limit", limit)
}

// parseRequest reads what is asked from method and path; a status other than
// 200 refuses it.
func parseRequest(r *http.Request) (request, int) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	call := request{}
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/info/refs"):
		call.advertise = true
		call.service = r.URL.Query().Get("service")
		path = strings.TrimSuffix(path, "/info/refs")
	case r.Method == http.MethodPost:
		cut := strings.LastIndex(path, "/")
		if cut < 0 {
			return call, http.StatusNotFound
		}
		path, call.service = path[:cut], path[cut+1:]
	default:
		return call, http.StatusNotFound
	}
	if call.service != transport.UploadPackServiceName && call.service != transport.ReceivePackServiceName {
		return call, http.StatusForbidden
	}
	call.name = strings.TrimSuffix(path, ".git")
	if !validName(call.name) {
		return call, http.StatusNotFound
	}
	return call, http.StatusOK
}

// authorize fills in the user, or refuses with a status.
func (s *Server) authorize(r *http.Request, call *request) int {
	user, known := s.authenticate(r)
	call.user = user
	reads := call.service == transport.UploadPackServiceName
	switch {
	case known && (reads || !user.ReadOnly):
		return http.StatusOK
	case known:
		return http.StatusForbidden
	case reads && s.options.AnonymousRead && !login.Given(r):
		return http.StatusOK
	default:
		return http.StatusUnauthorized
	}
}

// ensure creates the repository of a first push. Errors: fs.ErrNotExist.
func (s *Server) ensure(call request) error {
	_, err := os.Stat(s.path(call.name))
	if errors.Is(err, fs.ErrNotExist) && call.service == transport.ReceivePackServiceName && !s.options.NoCreateOnPush {
		return s.Create(call.name)
	}
	return err
}

// requestBody is the body, decompressed and bounded. The bound holds before
// and after decompression, so that a small body cannot grow without end.
func requestBody(w *answer, r *http.Request, limit int64) (io.Reader, error) {
	body := io.Reader(http.MaxBytesReader(w.ResponseWriter, r.Body, limit))
	if r.Header.Get("Content-Encoding") != "gzip" {
		return body, nil
	}
	plain, err := gzip.NewReader(body)
	if err != nil {
		return nil, fmt.Errorf("request body is not gzip: %w", err)
	}
	return http.MaxBytesReader(w.ResponseWriter, io.NopCloser(plain), limit), nil
}
