// Package bootstrap is the registry that is there before anything else: images
// of the sandbox and of tests are pushed to it.
package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// manifestStore makes the in-memory manifests of go-containerregistry's
// registry outlive its process: every accepted PUT is written to a journal
// directory and repeated, in order, at the next start. Blobs are on disk anyway.
type manifestStore struct {
	dir  string
	next http.Handler

	mu    sync.Mutex
	count int
}

// savedManifest is one accepted PUT.
type savedManifest struct {
	Path        string `json:"path"`
	ContentType string `json:"contentType"`
	Body        []byte `json:"body"`
	// Sequence orders the journal: an index is accepted only after its children.
	Sequence int `json:"sequence"`
}

// newRegistry serves the OCI distribution protocol with everything kept in dir.
func newRegistry(dir string) (http.Handler, error) {
	store := &manifestStore{dir: filepath.Join(dir, "manifests")}
	for _, sub := range []string{store.dir, filepath.Join(dir, "blobs")} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return nil, err
		}
	}
	store.next = registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(filepath.Join(dir, "blobs"))),
		registry.Logger(log.New(io.Discard, "", 0)),
	)
	return store, store.replay()
}

// replay repeats the journal into the empty registry.
func (s *manifestStore) replay() error {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return err
	}
	saved := make([]savedManifest, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var one savedManifest
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("manifest journal %s: %w", file, err)
		}
		saved = append(saved, one)
	}
	slices.SortFunc(saved, func(a, b savedManifest) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for _, one := range saved {
		request := httptest.NewRequest(http.MethodPut, one.Path, bytes.NewReader(one.Body))
		request.Header.Set("Content-Type", one.ContentType)
		answer := httptest.NewRecorder()
		s.next.ServeHTTP(answer, request)
		if answer.Code != http.StatusCreated {
			return fmt.Errorf("restore manifest %s: the registry answers %d: %s", one.Path, answer.Code, strings.TrimSpace(answer.Body.String()))
		}
		s.count = one.Sequence
	}
	return nil
}

// statusWriter remembers the status that passes through it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// maxManifest bounds a manifest's size in bytes, as registries commonly do.
const maxManifest = 4 << 20

// ServeHTTP implements http.Handler.
func (s *manifestStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	manifest := strings.Contains(r.URL.Path, "/manifests/")
	if !manifest || (r.Method != http.MethodPut && r.Method != http.MethodDelete) {
		s.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	defer s.mu.Unlock()
	through := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.next.ServeHTTP(through, r)
	if err := s.journal(r, body, through.status); err != nil {
		log.Printf("manifest %s is not kept over a restart: %v", r.URL.Path, err)
	}
}

// journal records an accepted change of a manifest.
func (s *manifestStore) journal(r *http.Request, body []byte, status int) error {
	file := filepath.Join(s.dir, strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/v2/"), "/", "~")+".json")
	switch {
	case r.Method == http.MethodDelete && status == http.StatusAccepted:
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case r.Method != http.MethodPut || status != http.StatusCreated:
		return nil
	}
	s.count++
	text, err := json.Marshal(savedManifest{r.URL.Path, r.Header.Get("Content-Type"), body, s.count})
	if err != nil {
		return err
	}
	return layout.WriteFile(file, text, 0o644)
}

// Serve runs the bootstrap registry inside the sandbox until ctx ends.
// It is what the part "registry" of the sandbox does.
func Serve(ctx context.Context, dir string) error {
	handler, err := newRegistry(dir)
	if err != nil {
		return err
	}
	listener, err := netns.Listen(layout.HostPort(layout.NodeAddress, layout.BootstrapPort))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
