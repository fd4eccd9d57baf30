package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/serin-gitops/serin/embedded/registry"
)

// serve opens a registry and serves it on a port of its own.
func serve(t *testing.T, options registry.Options) (*registry.Registry, *httptest.Server) {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	r, err := registry.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server
}

func reference(t *testing.T, server *httptest.Server, path string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/"+path, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func randomImage(t *testing.T) (v1.Image, v1.Hash) {
	t.Helper()
	image, err := random.Image(2048, 3)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return image, digest
}

func push(t *testing.T, server *httptest.Server, path string) v1.Hash {
	t.Helper()
	image, digest := randomImage(t)
	if err := remote.Write(reference(t, server, path), image); err != nil {
		t.Fatal(err)
	}
	return digest
}

// answer is what a test asks about a response whose body was read.
type answer struct {
	StatusCode int
	Status     string
	Header     http.Header
}

// send makes a bare request and returns the answer with its body read.
func send(t *testing.T, method, address, body string, header ...string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{StatusCode: resp.StatusCode, Status: resp.Status, Header: resp.Header}, string(content)
}

func TestImagesAndIndexesOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	_, server := serve(t, registry.Options{Dir: dir})
	image := push(t, server, "acme/web:1.0.0")
	index, err := random.Index(512, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference(t, server, "acme/deep/er:multi"), index); err != nil {
		t.Fatal(err)
	}
	indexDigest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()

	_, server = serve(t, registry.Options{Dir: dir})
	for _, path := range []string{"acme/web:1.0.0", "acme/web@" + image.String()} {
		got, err := remote.Image(reference(t, server, path))
		if err != nil {
			t.Fatal(err)
		}
		if digest, err := got.Digest(); err != nil || digest != image {
			t.Errorf("%s: got %s, %v; want %s", path, digest, err, image)
		}
		if err := validate.Image(got); err != nil {
			t.Error(err)
		}
	}
	gotIndex, err := remote.Index(reference(t, server, "acme/deep/er@"+indexDigest.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(gotIndex); err != nil {
		t.Error(err)
	}
}

func TestTagsMoveAndAreDeleted(t *testing.T) {
	dir := t.TempDir()
	_, server := serve(t, registry.Options{Dir: dir})
	first := push(t, server, "acme/web:latest")
	second := push(t, server, "acme/web:latest")
	push(t, server, "acme/web:other")
	image, err := remote.Image(reference(t, server, "acme/web:latest"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, server, "acme/web:also"), image); err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(reference(t, server, "acme/web@"+second.String())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		repo := reference(t, server, "acme/web:x").Context()
		tags, err := remote.List(repo)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"other"}, tags); diff != "" {
			t.Error(diff)
		}
		if _, err := remote.Head(repo.Digest(first.String())); err != nil {
			t.Errorf("an image whose tag moved away is gone: %v", err)
		}
		if _, err := remote.Head(repo.Digest(second.String())); err == nil {
			t.Error("a deleted image is still there")
		}
		server.Close()
		_, server = serve(t, registry.Options{Dir: dir})
	}
}

func TestTagsArePaged(t *testing.T) {
	_, server := serve(t, registry.Options{})
	image, _ := randomImage(t)
	var want []string
	for i := range 7 {
		tag := fmt.Sprintf("1.0.%d", i)
		want = append(want, tag)
		if err := remote.Write(reference(t, server, "acme/web:"+tag), image); err != nil {
			t.Fatal(err)
		}
	}
	repo := reference(t, server, "acme/web:x").Context()
	for _, size := range []int{1, 2, 7, 100} {
		got, err := remote.List(repo, remote.WithPageSize(size))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d: %s", size, diff)
		}
	}
	if resp, body := send(t, http.MethodGet, server.URL+"/v2/acme/web/tags/list?last=9", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"tags":[]`) {
		t.Errorf("after the last: %d %s", resp.StatusCode, body)
	}
	if resp, _ := send(t, http.MethodGet, server.URL+"/v2/acme/web/tags/list?n=x", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("n=x: got %d", resp.StatusCode)
	}
}

func TestPushesAreTold(t *testing.T) {
	type told struct{ repository, tag, digest string }
	var mu sync.Mutex
	var pushes []told
	delivered := make(chan string, 8)
	failures := 1
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if failures > 0 {
			failures--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var got struct {
			Events []struct {
				Action  string
				Target  struct{ Repository, Tag, Digest string }
				Request struct{ Host string }
			}
		}
		if err := json.NewDecoder(req.Body).Decode(&got); err != nil || len(got.Events) != 1 {
			t.Errorf("events %+v, error %v", got, err)
			return
		}
		e := got.Events[0]
		delivered <- fmt.Sprintf("%s %s %s/%s:%s@%s", req.Header.Get("Authorization"), e.Action, e.Request.Host, e.Target.Repository, e.Target.Tag, e.Target.Digest)
	}))
	t.Cleanup(endpoint.Close)
	r, server := serve(t, registry.Options{
		OnPush: func(repository, tag, digest string) {
			mu.Lock()
			defer mu.Unlock()
			pushes = append(pushes, told{repository, tag, digest})
		},
		Endpoints: []registry.Endpoint{{URL: endpoint.URL + "/hooks/x", Authorization: "Bearer s3cret"}},
	})
	stopped := make(chan struct{})
	go func() { r.Run(t.Context(), func(err error) { t.Error(err) }); close(stopped) }()
	digest := push(t, server, "acme/web:1.0.0").String()
	select {
	case got := <-delivered:
		if want := fmt.Sprintf("Bearer s3cret push %s/acme/web:1.0.0@%s", strings.TrimPrefix(server.URL, "http://"), digest); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("no notification")
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]told{{"acme/web", "1.0.0", digest}}, pushes, cmp.AllowUnexported(told{})); diff != "" {
		t.Error(diff)
	}
}

func TestUndeliveredIsReportedWithoutThePath(t *testing.T) {
	endpoint := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(endpoint.Close)
	r, server := serve(t, registry.Options{Endpoints: []registry.Endpoint{{URL: endpoint.URL + "/hooks/t0ken"}}})
	reports := make(chan error, 1)
	go r.Run(t.Context(), func(err error) { reports <- err })
	push(t, server, "acme/web:1.0.0")
	select {
	case err := <-reports:
		if strings.Contains(err.Error(), "t0ken") || !strings.Contains(err.Error(), "404") {
			t.Errorf("got %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("no report")
	}
}

func TestCredentialsAreAsked(t *testing.T) {
	ci, node := &authn.Basic{Username: "ci", Password: "s3cret"}, &authn.Basic{Username: "node", Password: "0ther"}
	_, server := serve(t, registry.Options{AnonymousRead: true, Users: []registry.User{
		{Name: "ci", Password: "s3cret"}, {Name: "node", Password: "0ther", ReadOnly: true}, {Name: "nobody"},
	}})
	image, digest := randomImage(t)
	ref := reference(t, server, "acme/web:1.0.0")
	cases := []struct {
		auth authn.Authenticator
		code int
	}{
		{authn.Anonymous, http.StatusUnauthorized},
		{&authn.Basic{Username: "ci", Password: "wrong"}, http.StatusUnauthorized},
		{&authn.Basic{Username: "who", Password: "s3cret"}, http.StatusUnauthorized},
		{&authn.Basic{Username: "nobody"}, http.StatusUnauthorized},
		{node, http.StatusForbidden},
	}
	for _, c := range cases {
		var refused *transport.Error
		if err := remote.Write(ref, image, remote.WithAuth(c.auth)); !errors.As(err, &refused) || refused.StatusCode != c.code {
			t.Errorf("push as %+v: got %v, want %d", c.auth, err, c.code)
		}
	}
	if err := remote.Write(ref, image, remote.WithAuth(ci)); err != nil {
		t.Fatal(err)
	}
	for _, auth := range []authn.Authenticator{authn.Anonymous, node, ci} {
		if got, err := remote.Head(ref, remote.WithAuth(auth)); err != nil || got.Digest != digest {
			t.Errorf("pull as %+v: got %v, %v", auth, got, err)
		}
	}
	if err := remote.Delete(ref); err == nil {
		t.Error("anybody may delete")
	}
}

// A node sends no credentials, and asks for the image at once. Wrong ones are
// not taken for none.
func TestWhoMayPull(t *testing.T) {
	users := []registry.User{{Name: "ci", Password: "s3cret"}}
	_, open := serve(t, registry.Options{Users: users, AnonymousRead: true})
	_, closed := serve(t, registry.Options{Users: users})
	cases := []struct {
		name, address, auth string
		code                int
	}{
		{"anybody", open.URL + "/v2/acme/web/tags/list", "", http.StatusNotFound},
		{"an empty name", open.URL + "/v2/acme/web/tags/list", "Basic Og==", http.StatusNotFound},
		{"wrong ones", open.URL + "/v2/acme/web/tags/list", "Basic Y2k6d3Jvbmc=", http.StatusUnauthorized},
		{"another scheme", open.URL + "/v2/acme/web/tags/list", "Bearer x", http.StatusUnauthorized},
		{"a client that will push", open.URL + "/v2/", "", http.StatusUnauthorized},
		{"anybody, where pulls are closed", closed.URL + "/v2/acme/web/tags/list", "", http.StatusUnauthorized},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.auth != "" {
				header = []string{"Authorization", c.auth}
			}
			if resp, body := send(t, http.MethodGet, c.address, "", header...); resp.StatusCode != c.code {
				t.Errorf("got %s %s, want %d", resp.Status, body, c.code)
			}
		})
	}
}

// blobURL begins an upload and returns where it continues.
func blobURL(t *testing.T, server *httptest.Server) string {
	t.Helper()
	resp, _ := send(t, http.MethodPost, server.URL+"/v2/acme/web/blobs/uploads/", "")
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("got %s", resp.Status)
	}
	return server.URL + resp.Header.Get("Location")
}

func TestUploadsInChunks(t *testing.T) {
	_, server := serve(t, registry.Options{})
	content := "one two three"
	digest, _, err := v1.SHA256(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	address := blobURL(t, server)
	if resp, _ := send(t, http.MethodPatch, address, "one ", "Content-Range", "0-3"); resp.StatusCode != http.StatusAccepted || resp.Header.Get("Range") != "0-3" {
		t.Fatalf("first chunk: %s, range %s", resp.Status, resp.Header.Get("Range"))
	}
	if resp, _ := send(t, http.MethodPatch, address, "three", "Content-Range", "8-12"); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a chunk too far: %s", resp.Status)
	}
	if resp, _ := send(t, http.MethodGet, address, ""); resp.StatusCode != http.StatusNoContent || resp.Header.Get("Range") != "0-3" {
		t.Errorf("progress: %s, range %s", resp.Status, resp.Header.Get("Range"))
	}
	if resp, _ := send(t, http.MethodPatch, address, "two ", "Content-Range", "4-7"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("second chunk: %s", resp.Status)
	}
	if resp, body := send(t, http.MethodPut, address+"?digest="+digest.String(), "three"); resp.StatusCode != http.StatusCreated {
		t.Errorf("last chunk: %s %s", resp.Status, body)
	}
	if _, body := send(t, http.MethodGet, server.URL+"/v2/acme/web/blobs/"+digest.String(), ""); body != content {
		t.Errorf("got %q, want %q", body, content)
	}
	if resp, _ := send(t, http.MethodPost, server.URL+"/v2/acme/other/blobs/uploads/?from=acme/web&mount="+digest.String(), ""); resp.StatusCode != http.StatusCreated {
		t.Errorf("mount: %s", resp.Status)
	}
	if resp, _ := send(t, http.MethodPatch, address, "x"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after the end: %s", resp.Status)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	dir := t.TempDir()
	_, server := serve(t, registry.Options{Dir: dir, MaxUpload: 10})
	if resp, _ := send(t, http.MethodPatch, blobURL(t, server), strings.Repeat("x", 11)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a known length: %s", resp.Status)
	}
	// Without a length: the limit is met while reading.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, blobURL(t, server), io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<16))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an unknown length: %s", resp.Status)
	}
	if resp, _ := send(t, http.MethodPut, blobURL(t, server)+"?digest=sha256:"+strings.Repeat("a", 64), "x"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a wrong digest: %s", resp.Status)
	}
	var last answer
	for range 64 {
		last, _ = send(t, http.MethodPost, server.URL+"/v2/acme/web/blobs/uploads/", "")
	}
	if last.StatusCode != http.StatusTooManyRequests {
		t.Errorf("too many uploads: %s", last.Status)
	}
	if left := files(t, filepath.Join(dir, "blobs")); len(left) > 0 {
		t.Errorf("refused blobs are kept: %v", left)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestBadManifestsAreRefused(t *testing.T) {
	dir := t.TempDir()
	_, server := serve(t, registry.Options{Dir: dir})
	image, _ := randomImage(t)
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	mediaType, err := image.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, repository, reference, body string
		code                              int
		says                              string
	}{
		{"missing blobs", "acme/web", "1.0.0", string(manifest), 400, "MANIFEST_BLOB_UNKNOWN"},
		{"no JSON", "acme/web", "1.0.0", "{", 400, "MANIFEST_INVALID"},
		{"another digest", "acme/web", "sha256:" + strings.Repeat("a", 64), string(manifest), 400, "DIGEST_INVALID"},
		{"a bad tag", "acme/web", ".hidden", string(manifest), 400, "TAG_INVALID"},
		{"out of the folder", "..", "1.0.0", string(manifest), 400, "NAME_INVALID"},
		{"capitals", "Acme", "1.0.0", string(manifest), 400, "NAME_INVALID"},
		{"a name too long", strings.Repeat("a", 256), "1.0.0", string(manifest), 400, "NAME_INVALID"},
		{"too large", "acme/web", "1.0.0", string(bytes.Repeat([]byte(" "), 5<<20)), 413, "SIZE_INVALID"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			address := server.URL + "/v2/" + url.PathEscape(c.repository) + "/manifests/" + c.reference
			resp, body := send(t, http.MethodPut, address, c.body, "Content-Type", string(mediaType))
			if resp.StatusCode != c.code || !strings.Contains(body, c.says) {
				t.Errorf("got %s %s, want %d %s", resp.Status, body, c.code, c.says)
			}
		})
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("something was kept: %v", left)
	}
}
