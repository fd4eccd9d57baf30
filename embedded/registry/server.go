// Package registry is the OCI registry that a small installation runs inside
// Serin: go-containerregistry's handler, on disk, with a limit on what it takes
// in and a notification for each push.
package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// DefaultMaxUpload is the largest blob taken where Options do not say, in bytes.
const DefaultMaxUpload = 2 << 30

// Options say how a Registry is run.
type Options struct {
	// Dir keeps everything; it is made where it is missing.
	Dir string
	// Username and Password, where set, are asked of every request.
	Username, Password string
	// MaxUpload is the largest blob taken, in bytes; 0 is DefaultMaxUpload.
	MaxUpload int64
	// OnPush is called after a tag was written, once per push, before the push
	// is answered: it must not wait. It may be nil.
	OnPush func(repository, tag, digest string)
	// Endpoints are told of every push in the notification format of the
	// distribution project, while Run runs.
	Endpoints []Endpoint
}

// Registry is an http.Handler to be served at the root of a host.
type Registry struct {
	options   Options
	inner     http.Handler
	blobs     string
	manifests manifestStore
	uploads   *uploads
	notifier  *notifier
	// writing orders manifests in memory and on disk the same way.
	writing sync.Mutex
}

// Open reads what is kept under Dir and makes the registry that serves it.
func Open(options Options) (*Registry, error) {
	if options.MaxUpload <= 0 {
		options.MaxUpload = DefaultMaxUpload
	}
	r := &Registry{
		options:   options,
		blobs:     filepath.Join(options.Dir, "blobs"),
		manifests: manifestStore{dir: filepath.Join(options.Dir, "manifests")},
		notifier:  newNotifier(options.Endpoints),
	}
	// What an unclean end left of uploads is of no use: their clients are gone.
	uploading := filepath.Join(options.Dir, "uploads")
	if err := os.RemoveAll(uploading); err != nil {
		return nil, fmt.Errorf("registry: clear unfinished uploads: %w", err)
	}
	for _, dir := range []string{r.blobs, r.manifests.dir, uploading} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("registry: make its folder: %w", err)
		}
	}
	if err := removeTemporary(r.blobs); err != nil {
		return nil, err
	}
	// Its log names every request; failures reach the client anyway.
	r.inner = ggcr.New(
		ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(r.blobs)),
		ggcr.WithReferrersSupport(true),
		ggcr.Logger(log.New(io.Discard, "", 0)),
	)
	r.uploads = newUploads(uploading, r.blobs, options.MaxUpload, r.inner)
	if err := r.manifests.load(r.inner); err != nil {
		return nil, err
	}
	return r, nil
}

// removeTemporary removes what go-containerregistry's disk handler leaves when
// it is ended in the middle of a write.
func removeTemporary(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "upload-*"))
	if err != nil {
		return fmt.Errorf("registry: look for unfinished blobs: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("registry: remove an unfinished blob: %w", err)
		}
	}
	return nil
}

// ServeHTTP implements http.Handler: the OCI distribution protocol under /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if !r.allowed(req) {
		w.Header().Set("WWW-Authenticate", `Basic realm="serin"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a user name and password are needed")
		return
	}
	where := parsePath(req.URL.Path)
	switch {
	case where.kind == "uploads":
		r.uploads.serve(w, req, where)
	case where.kind == "manifests" && req.Method == http.MethodPut:
		r.putManifest(w, req, where)
	case where.kind == "manifests" && req.Method == http.MethodDelete:
		r.deleteManifest(w, req, where)
	case where.kind == "tags" && req.Method == http.MethodGet:
		r.listTags(w, req)
	case where.kind == "blobs" && req.Method == http.MethodDelete:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "blobs are shared by all repositories and are not deleted")
	default:
		r.inner.ServeHTTP(w, req)
	}
}

// allowed compares hashes, so that the time taken tells nothing of the
// password, its length neither.
func (r *Registry) allowed(req *http.Request) bool {
	if r.options.Username == "" && r.options.Password == "" {
		return true
	}
	username, password, _ := req.BasicAuth()
	return same(username, r.options.Username)&same(password, r.options.Password) == 1
}

func same(given, want string) int {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:])
}

// place is what a path of the protocol names.
type place struct {
	repository string
	// kind is manifests, blobs, tags or uploads; empty for anything else.
	kind string
	// name is the tag, digest or upload, empty for a new upload.
	name string
}

// parsePath reads /v2/<repository>/<kind>/<name>; a repository may itself hold
// a part called "manifests", so it is read from the end.
func parsePath(path string) place {
	path, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return place{}
	}
	if repository, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/blobs/uploads"); ok {
		return place{repository: repository, kind: "uploads"}
	}
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		return place{}
	}
	last := len(parts) - 1
	found := place{repository: strings.Join(parts[:last-1], "/"), kind: parts[last-1], name: parts[last]}
	switch found.kind {
	case "manifests", "blobs", "tags":
		return found
	case "uploads":
		if repository, ok := strings.CutSuffix(found.repository, "/blobs"); ok {
			found.repository = repository
			return found
		}
	}
	return place{}
}

// refuse answers with an error as the distribution specification formats it.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(map[string][]fault{"errors": {{code, message}}})
}
