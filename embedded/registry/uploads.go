package registry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Bounds of what clients may leave unfinished.
const (
	maxUploads    = 64
	uploadTimeout = time.Hour
)

// uploads collects blobs on disk. go-containerregistry's handler collects them
// in memory, one at a time for all clients, and without a limit; it still gets
// each finished blob, to verify and keep it.
type uploads struct {
	dir, blobs string
	limit      int64
	inner      http.Handler
	mu         sync.Mutex
	open       map[string]*upload
}

// upload is one blob on its way.
type upload struct {
	// mu is held while a chunk is written.
	mu         sync.Mutex
	repository string
	path       string
	size       int64
	// touched is when the last request began.
	touched time.Time
}

func newUploads(dir, blobs string, limit int64, inner http.Handler) *uploads {
	return &uploads{dir: dir, blobs: blobs, limit: limit, inner: inner, open: map[string]*upload{}}
}

// errTooLarge: the blob is over the limit.
var errTooLarge = errors.New("the blob is larger than this registry takes")

// serve implements the distribution specification's "Pushing Blobs".
func (u *uploads) serve(w http.ResponseWriter, req *http.Request, where place) {
	if !validRepository(where.repository) {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", "a repository is made of lower-case parts such as acme/web")
		return
	}
	if where.name == "" {
		if req.Method != http.MethodPost {
			refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "begin an upload by POST")
			return
		}
		u.begin(w, req, where)
		return
	}
	one := u.find(where)
	if one == nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload; begin a new one")
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	switch req.Method {
	case http.MethodPatch:
		if u.add(w, req, one) {
			u.progress(w, where, one, http.StatusAccepted)
		}
	case http.MethodPut:
		u.finish(w, req, where, one)
	case http.MethodGet:
		u.progress(w, where, one, http.StatusNoContent)
	case http.MethodDelete:
		u.drop(where.name)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "continue an upload by PATCH or PUT")
	}
}

// begin answers a POST: a mount of a blob that is here already, a blob in one
// request, or a new upload.
func (u *uploads) begin(w http.ResponseWriter, req *http.Request, where place) {
	query := req.URL.Query()
	if hash, err := v1.NewHash(query.Get("mount")); err == nil && blobExists(u.blobs, hash) {
		w.Header().Set("Location", "/v2/"+where.repository+"/blobs/"+hash.String())
		w.Header().Set("Docker-Content-Digest", hash.String())
		w.WriteHeader(http.StatusCreated)
		return
	}
	id, one, err := u.create(where.repository)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", err.Error())
		return
	}
	where.name = id
	one.mu.Lock()
	defer one.mu.Unlock()
	if query.Has("digest") {
		u.finish(w, req, where, one)
		return
	}
	u.progress(w, where, one, http.StatusAccepted)
}

func (u *uploads) create(repository string) (string, *upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for id, one := range u.open {
		if now.Sub(one.touched) > uploadTimeout {
			u.forget(id)
		}
	}
	if len(u.open) >= maxUploads {
		return "", nil, fmt.Errorf("%d uploads are unfinished; finish or delete one", len(u.open))
	}
	id := rand.Text()
	one := &upload{repository: repository, path: filepath.Join(u.dir, id), touched: now}
	u.open[id] = one
	return id, one, nil
}

func (u *uploads) find(where place) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.open[where.name]
	if one == nil || one.repository != where.repository {
		return nil
	}
	one.touched = time.Now()
	return one
}

func (u *uploads) drop(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(id)
}

// forget removes an upload and its file; mu is held. A file that cannot be
// removed now is removed by the next Open.
func (u *uploads) forget(id string) {
	if one := u.open[id]; one != nil {
		_ = os.Remove(one.path)
		delete(u.open, id)
	}
}

// add appends the body, and answers itself where that fails.
func (u *uploads) add(w http.ResponseWriter, req *http.Request, one *upload) bool {
	if from, _, ok := strings.Cut(req.Header.Get("Content-Range"), "-"); ok {
		if start, err := strconv.ParseInt(strings.TrimPrefix(from, "bytes "), 10, 64); err != nil || start != one.size {
			w.Header().Set("Range", one.received())
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("the next chunk begins at byte %d", one.size))
			return false
		}
	}
	err := one.append(req, u.limit)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errTooLarge):
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("%v: %d bytes", errTooLarge, u.limit))
	default:
		refuse(w, http.StatusInternalServerError, "BLOB_UPLOAD_INVALID", "the chunk could not be kept; send it again from the range reported")
	}
	return false
}

// append writes the body to the end of the file. After a failure the file is
// cut back to what was there before, so that the chunk can be sent again.
func (one *upload) append(req *http.Request, limit int64) (err error) {
	left := limit - one.size
	if req.ContentLength > left {
		return errTooLarge
	}
	file, err := os.OpenFile(one.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := errors.Join(file.Truncate(one.size), seek(file, one.size)); err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(req.Body, left+1))
	if err == nil && n > left {
		err = errTooLarge
	}
	if err != nil {
		return err
	}
	one.size += n
	return nil
}

func seek(file *os.File, offset int64) error {
	_, err := file.Seek(offset, io.SeekStart)
	return err
}

// received is the Range header: "0-<last byte>", and "0-0" for nothing, as the
// specification has it.
func (one *upload) received() string { return fmt.Sprintf("0-%d", max(0, one.size-1)) }

func (u *uploads) progress(w http.ResponseWriter, where place, one *upload, status int) {
	w.Header().Set("Location", "/v2/"+where.repository+"/blobs/uploads/"+where.name)
	w.Header().Set("Docker-Upload-UUID", where.name)
	w.Header().Set("Range", one.received())
	w.WriteHeader(status)
}

// finish takes the last chunk and hands the whole blob to the inner handler,
// which keeps it under its digest.
func (u *uploads) finish(w http.ResponseWriter, req *http.Request, where place, one *upload) {
	hash, err := v1.NewHash(req.URL.Query().Get("digest"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "give the blob's digest as ?digest=sha256:<64 hexadecimal digits>")
		return
	}
	if !u.add(w, req, one) {
		return
	}
	defer u.drop(where.name)
	file, err := os.Open(one.path) // there even for an empty blob: add makes it
	if err != nil {
		refuse(w, http.StatusInternalServerError, "BLOB_UPLOAD_INVALID", "the upload could not be read again; push the blob again")
		return
	}
	defer func() { _ = file.Close() }() // read only
	// Compared here first: the inner handler's disk would keep a blob that it
	// refuses as a temporary file.
	if got, _, err := v1.SHA256(file); err != nil || got != hash {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "the blob received has the digest "+got.String())
		return
	}
	if err := seek(file, 0); err != nil {
		refuse(w, http.StatusInternalServerError, "BLOB_UPLOAD_INVALID", "the upload could not be read again; push the blob again")
		return
	}
	whole := req.Clone(req.Context())
	whole.Method = http.MethodPost
	whole.URL = &url.URL{Path: "/v2/" + where.repository + "/blobs/uploads/", RawQuery: url.Values{"digest": {hash.String()}}.Encode()}
	whole.Body, whole.GetBody, whole.ContentLength = file, nil, one.size
	answer := replay(u.inner, whole)
	if answer.code == http.StatusCreated {
		w.Header().Set("Location", "/v2/"+where.repository+"/blobs/"+hash.String())
	}
	forward(w, answer)
}
