// Package registry is the OCI registry that a small installation runs inside
// Serin: go-containerregistry's handler, on disk, with a limit on what it takes
// in and a notification for each push.
package registry

import (
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
	"sync/atomic"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/serin-gitops/serin/embedded/internal/login"
)

// DefaultMaxUpload is the largest blob taken where Options do not say, in bytes.
const DefaultMaxUpload = 2 << 30

// Options say how a Registry is run.
type Options struct {
	// Dir keeps everything; it is made where it is missing.
	Dir string
	// Users may enter; with none, everybody may do everything.
	Users []User
	// AnonymousRead lets everybody pull, as nodes do.
	AnonymousRead bool
	// MaxUpload is the largest blob taken, in bytes; 0 is DefaultMaxUpload.
	MaxUpload int64
	// MaxBytes bounds all blobs, with those on their way, and all manifests
	// together, in bytes; 0 is DefaultMaxBytes.
	MaxBytes int64
	// KeepUntagged is how long Collect keeps a manifest that lost its last tag;
	// 0 is DefaultKeepUntagged.
	KeepUntagged time.Duration
	// OnPush is called after a tag was written, once per push, before the push
	// is answered: it must not wait. It may be nil.
	OnPush func(repository, tag, digest string)
	// Endpoints are told of every push in the notification format of the
	// distribution project, while Run runs.
	Endpoints []Endpoint
}

// User may enter the registry by HTTP basic authentication.
type User struct {
	Name, Password string
	// ReadOnly users may pull only.
	ReadOnly bool
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
	// collecting is held by Collect, and shared by whatever counts on blobs
	// that no manifest names yet.
	collecting sync.RWMutex
	// used is the bytes of blobs, uploads and manifests.
	used atomic.Int64
}

// Open reads what is kept under Dir and makes the registry that serves it.
func Open(options Options) (*Registry, error) {
	if options.MaxUpload <= 0 {
		options.MaxUpload = DefaultMaxUpload
	}
	if options.MaxBytes <= 0 {
		options.MaxBytes = DefaultMaxBytes
	}
	if options.KeepUntagged <= 0 {
		options.KeepUntagged = DefaultKeepUntagged
	}
	r := &Registry{
		options:  options,
		blobs:    filepath.Join(options.Dir, "blobs"),
		notifier: newNotifier(options.Endpoints),
	}
	r.manifests = manifestStore{dir: filepath.Join(options.Dir, "manifests"), used: &r.used}
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
	size, err := sizeOf(r.blobs)
	if err != nil {
		return nil, err
	}
	r.used.Store(size)
	r.uploads = newUploads(uploading, r)
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
	if !r.admit(w, req) {
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
	case where.kind == "blobs" && req.Method == http.MethodHead:
		r.headBlob(w, req, where)
	case where.kind == "tags" && req.Method == http.MethodGet:
		r.listTags(w, req)
	case !reads(req):
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "only manifests are deleted; blobs are shared by all repositories")
	default:
		r.inner.ServeHTTP(w, req)
	}
}

// headBlob is what clients ask before they push a blob.
func (r *Registry) headBlob(w http.ResponseWriter, req *http.Request, where place) {
	r.collecting.RLock()
	defer r.collecting.RUnlock()
	r.wanted(where)
	r.inner.ServeHTTP(w, req)
}

// admit lets a request in, or refuses it.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request) bool {
	if len(r.options.Users) == 0 {
		return true
	}
	user, known := login.Find(req, r.options.Users, func(u User) (string, string) { return u.Name, u.Password })
	switch {
	case known && (reads(req) || !user.ReadOnly):
		return true
	case known:
		refuse(w, http.StatusForbidden, "DENIED", "this user may only pull; push as one that is not readOnly")
	case reads(req) && r.options.AnonymousRead && !login.Given(req) && req.URL.Path != base:
		return true
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="serin"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a user name and password are needed")
	}
	return false
}

// base is where clients ask, before a push, whether credentials are needed. So
// it asks for them even where everybody may pull: clients that were not asked
// there would not send them with the push either.
const base = "/v2/"

func reads(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
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
	path, ok := strings.CutPrefix(path, base)
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
