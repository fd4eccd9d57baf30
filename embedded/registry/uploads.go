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
	"sync/atomic"
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
	dir   string
	limit int64
	r     *Registry
	mu    sync.Mutex
	open  map[string]*upload
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

func newUploads(dir string, r *Registry) *uploads {
	return &uploads{dir: dir, limit: r.options.MaxUpload, r: r, open: map[string]*upload{}}
}

// errTooLarge: the blob is over the limit.
var errTooLarge = errors.New("the blob is larger than this registry takes")

// errFull: all that is kept is over the limit.
var errFull = errors.New("the registry is full")

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
	if hash, err := v1.NewHash(query.Get("mount")); err == nil && u.mount(hash) {
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

// mount says whether a blob is here; if so, it stays for now.
func (u *uploads) mount(hash v1.Hash) bool {
	u.r.collecting.RLock()
	defer u.r.collecting.RUnlock()
	u.r.wanted(place{name: hash.String()})
	return blobExists(u.r.blobs, hash)
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
		u.r.used.Add(-one.size)
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
	err := one.append(req, u.limit, &u.r.used, u.r.options.MaxBytes)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errFull):
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusInsufficientStorage, "DENIED", u.r.full())
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
func (one *upload) append(req *http.Request, limit int64, used *atomic.Int64, maxBytes int64) (err error) {
	left, full := limit-one.size, errTooLarge
	if free := maxBytes - used.Load(); free < left {
		left, full = max(0, free), errFull
	}
	if req.ContentLength > left {
		return full
	}
	file, err := os.OpenFile(one.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := errors.Join(file.Truncate(one.size), seek(file, one.size)); err != nil {
		return err
	}
	n, err := io.Copy(&counting{file: file, used: used, max: maxBytes}, io.LimitReader(req.Body, left+1))
	if err == nil && n > left {
		err = full
	}
	if err != nil {
		used.Add(-n)
		return errors.Join(err, file.Truncate(one.size))
	}
	one.size += n
	return nil
}

// counting counts bytes as they come, so that uploads side by side stay below
// the limit together.
type counting struct {
	file *os.File
	used *atomic.Int64
	max  int64
}

// Write implements io.Writer.
func (c *counting) Write(p []byte) (int, error) {
	if c.used.Add(int64(len(p))) > c.max {
		c.used.Add(-int64(len(p)))
		return 0, errFull
	}
	n, err := c.file.Write(p)
	c.used.Add(int64(n - len(p)))
	return n, err
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
	u.r.collecting.RLock()
	defer u.r.collecting.RUnlock()
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
	known := blobExists(u.r.blobs, hash)
	answer := replay(u.r.inner, whole)
	if answer.code == http.StatusCreated {
		if !known {
			// The blob's from now on: what drop takes back is not of it.
			one.size = 0
		}
		w.Header().Set("Location", "/v2/"+where.repository+"/blobs/"+hash.String())
	}
	forward(w, answer)
}
