package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxManifest is the largest manifest taken, in bytes: the least that the
// distribution specification asks of a registry.
const maxManifest = 4 << 20

// Names as the distribution specification defines them. They become names of
// files, so nothing else may pass.
var (
	tagName        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// maxFileName is the longest name that Linux's file systems take, in bytes.
const maxFileName = 255

// validRepository says whether a repository may be kept.
func validRepository(repository string) bool {
	return repositoryName.MatchString(repository) && len(url.PathEscape(repository)) <= maxFileName
}

// putManifest checks a manifest, takes it into memory, then onto disk, and only
// then answers and tells of it.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, where place) {
	content, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("a manifest has at most %d bytes: %v", maxManifest, err))
		return
	}
	m := stored{MediaType: req.Header.Get("Content-Type"), Manifest: content}
	r.collecting.RLock()
	defer r.collecting.RUnlock()
	digest, fault := r.checkManifest(where, m)
	if fault != nil {
		refuse(w, fault.status, fault.code, fault.message)
		return
	}
	put, err := newPut(where.repository, where.name, m)
	if err != nil {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", err.Error())
		return
	}
	answer, err := r.keep(put, where, digest, m)
	if errors.Is(err, errFull) {
		refuse(w, http.StatusInsufficientStorage, "DENIED", r.full())
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "the manifest could not be kept: "+err.Error())
		return
	}
	if answer.code == http.StatusCreated {
		w.Header().Set("Location", "/v2/"+where.repository+"/manifests/"+digest)
		r.tell(req, where, digest, m)
	}
	forward(w, answer)
}

// full says what to do about a registry that is full.
func (r *Registry) full() string {
	return fmt.Sprintf("%v: it holds %d of %d bytes; delete tags that nothing needs, or raise registry.maxBytes", errFull, r.used.Load(), r.options.MaxBytes)
}

// keep writes memory and disk as one, where there is room. Errors: errFull.
func (r *Registry) keep(put *http.Request, where place, digest string, m stored) (*recorder, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	references := []string{digest}
	if where.name != digest {
		references = append(references, where.name)
	}
	growth, err := r.manifests.growth(where.repository, m, references...)
	if err != nil {
		return nil, err
	}
	// A tag that moves in a full registry takes no more room than before.
	if growth > 0 && r.used.Load()+growth > r.options.MaxBytes {
		return nil, errFull
	}
	answer := replay(r.inner, put)
	if answer.code != http.StatusCreated {
		return answer, nil
	}
	if err := r.manifests.put(where.repository, digest, m); err != nil {
		return nil, err
	}
	if where.name != digest {
		if err := r.manifests.lost(where.repository, where.name); err != nil {
			return nil, err
		}
		if err := r.manifests.put(where.repository, where.name, m); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func (r *Registry) tell(req *http.Request, where place, digest string, m stored) {
	r.notifier.enqueue(newEvent(req, where, digest, m))
	if r.options.OnPush != nil && where.name != digest {
		r.options.OnPush(where.repository, where.name, digest)
	}
}

// fault is an answer that refuses.
type fault struct {
	status        int
	code, message string
}

// checkManifest refuses what go-containerregistry's handler would take: bad
// names, a digest that is not the content's, an image whose blobs are missing.
func (r *Registry) checkManifest(where place, m stored) (string, *fault) {
	if !validRepository(where.repository) {
		return "", &fault{http.StatusBadRequest, "NAME_INVALID", "a repository is made of lower-case parts such as acme/web"}
	}
	hash, _, err := v1.SHA256(bytes.NewReader(m.Manifest))
	if err != nil {
		return "", &fault{http.StatusInternalServerError, "UNKNOWN", err.Error()}
	}
	digest := hash.String()
	if strings.Contains(where.name, ":") && where.name != digest {
		return "", &fault{http.StatusBadRequest, "DIGEST_INVALID", "the manifest's digest is " + digest}
	}
	if where.name != digest && !tagName.MatchString(where.name) {
		return "", &fault{http.StatusBadRequest, "TAG_INVALID", "a tag has 1 to 128 letters, digits, dots, dashes and underscores"}
	}
	if !json.Valid(m.Manifest) {
		return "", &fault{http.StatusBadRequest, "MANIFEST_INVALID", "the manifest is not JSON"}
	}
	if !types.MediaType(m.MediaType).IsImage() {
		return digest, nil
	}
	image, err := v1.ParseManifest(bytes.NewReader(m.Manifest))
	if err != nil {
		return "", &fault{http.StatusBadRequest, "MANIFEST_INVALID", err.Error()}
	}
	for _, blob := range append([]v1.Descriptor{image.Config}, image.Layers...) {
		if blob.MediaType.IsDistributable() && !r.hasBlob(blob.Digest) {
			return "", &fault{http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "push the blob first: " + blob.Digest.String()}
		}
	}
	return digest, nil
}

// hasBlob asks the file system: the handler's own question reads the whole
// blob to hash it.
func (r *Registry) hasBlob(hash v1.Hash) bool { return blobExists(r.blobs, hash) }

func blobExists(dir string, hash v1.Hash) bool {
	if hash.Algorithm != "sha256" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, hash.Algorithm, hash.Hex))
	return err == nil
}

// deleteManifest removes a tag, or a digest with every tag that names it.
func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, where place) {
	if !validRepository(where.repository) {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", "a repository is made of lower-case parts such as acme/web")
		return
	}
	r.collecting.RLock()
	defer r.collecting.RUnlock()
	r.writing.Lock()
	defer r.writing.Unlock()
	if !strings.Contains(where.name, ":") {
		if err := r.manifests.lost(where.repository, where.name); err != nil {
			refuse(w, http.StatusInternalServerError, "UNKNOWN", "the tag could not be removed: "+err.Error())
			return
		}
	}
	names := []string{where.name}
	if strings.Contains(where.name, ":") {
		names = append(names, r.tagsOf(where)...)
	}
	answer := &recorder{}
	for i, one := range names {
		part := req.Clone(req.Context())
		part.URL.Path = "/v2/" + where.repository + "/manifests/" + one
		reply := replay(r.inner, part)
		if i == 0 {
			answer = reply
		}
		if reply.code != http.StatusAccepted {
			break
		}
		if err := r.manifests.remove(where.repository, one); err != nil {
			refuse(w, http.StatusInternalServerError, "UNKNOWN", "the manifest could not be removed: "+err.Error())
			return
		}
	}
	forward(w, answer)
}

// tagsOf lists the tags that name a digest.
func (r *Registry) tagsOf(where place) []string {
	var tags []string
	for _, tag := range r.allTags(where.repository) {
		head, err := http.NewRequest(http.MethodHead, (&url.URL{Path: "/v2/" + where.repository + "/manifests/" + tag}).String(), nil)
		if err == nil && replay(r.inner, head).Header().Get("Docker-Content-Digest") == where.name {
			tags = append(tags, tag)
		}
	}
	return tags
}

func (r *Registry) allTags(repository string) []string {
	list, err := http.NewRequest(http.MethodGet, (&url.URL{Path: "/v2/" + repository + "/tags/list"}).String(), nil)
	if err != nil {
		return nil
	}
	var answer tagList
	if json.Unmarshal(replay(r.inner, list).body.Bytes(), &answer) != nil {
		return nil
	}
	return answer.Tags
}

// tagList is the answer to a request for tags.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// listTags adds what go-containerregistry's handler lacks: the link to the next
// page, without which a client takes a part for the whole.
func (r *Registry) listTags(w http.ResponseWriter, req *http.Request) {
	all := req.Clone(req.Context())
	all.URL.RawQuery = ""
	answer := replay(r.inner, all)
	var list tagList
	if answer.code != http.StatusOK || json.Unmarshal(answer.body.Bytes(), &list) != nil {
		forward(w, answer)
		return
	}
	query := req.URL.Query()
	if last := query.Get("last"); last != "" {
		from, found := slices.BinarySearch(list.Tags, last)
		if found {
			from++
		}
		list.Tags = list.Tags[from:]
	}
	if given := query.Get("n"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", fmt.Sprintf("n is %q, not a number of tags", given))
			return
		}
		if n > 0 && n < len(list.Tags) {
			next := url.URL{Path: req.URL.Path, RawQuery: url.Values{"n": {given}, "last": {list.Tags[n-1]}}.Encode()}
			w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
		}
		list.Tags = list.Tags[:min(n, len(list.Tags))]
	}
	if list.Tags == nil {
		list.Tags = []string{}
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(list)
}
