package registry_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/serin-gitops/serin/embedded/registry"
)

const day = 24 * time.Hour

// collect removes what is due, as seen some time from now.
func collect(t *testing.T, r *registry.Registry, later time.Duration) registry.Collection {
	t.Helper()
	done, err := r.Collect(time.Now().Add(later))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// bytesIn adds up the files of a folder.
func bytesIn(t *testing.T, dir string) (total int64) {
	t.Helper()
	for _, path := range files(t, dir) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an upload that has just ended
		}
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

// What has a tag stays for ever; what lost its tag stays for a while, with its
// blobs; and everything is the same after a restart.
func TestUntaggedImagesAreCollected(t *testing.T) {
	dir := t.TempDir()
	r, server := serve(t, registry.Options{Dir: dir, KeepUntagged: 10 * day})
	old := push(t, server, "acme/web:latest")
	current := push(t, server, "acme/web:latest")
	repo := reference(t, server, "acme/web:x").Context()
	if done := collect(t, r, 9*day); done != (registry.Collection{}) {
		t.Errorf("after 9 days %+v was removed", done)
	}
	if _, err := remote.Head(repo.Digest(old.String())); err != nil {
		t.Errorf("what lost its tag 9 days ago is gone: %v", err)
	}
	before := r.Usage().Bytes
	done := collect(t, r, 11*day)
	if done.Manifests != 1 || done.Blobs == 0 || done.Bytes == 0 {
		t.Errorf("after 11 days %+v was removed, want one manifest and its blobs", done)
	}
	if got, want := r.Usage().Bytes, bytesIn(t, dir); got != want || got != before-done.Bytes {
		t.Errorf("%d bytes are used, and the files have %d", got, want)
	}
	for range 2 {
		if _, err := remote.Head(repo.Digest(old.String())); err == nil {
			t.Error("the collected image is still there")
		}
		image, err := remote.Image(repo.Tag("latest"))
		if err != nil {
			t.Fatal(err)
		}
		if digest, err := image.Digest(); err != nil || digest != current {
			t.Errorf("latest is %s, want %s", digest, current)
		}
		server.Close()
		r, server = serve(t, registry.Options{Dir: dir})
		repo = reference(t, server, "acme/web:x").Context()
		collect(t, r, 100*day)
	}
}

// An index keeps the images in it, and an image what is about it.
func TestCollectFollowsIndexesAndSubjects(t *testing.T) {
	r, server := serve(t, registry.Options{KeepUntagged: day})
	index, err := random.Index(512, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference(t, server, "acme/web:multi"), index); err != nil {
		t.Fatal(err)
	}
	subject, err := remote.Head(reference(t, server, "acme/web:multi"))
	if err != nil {
		t.Fatal(err)
	}
	signature, _ := randomImage(t)
	about, ok := mutate.Subject(signature, *subject).(v1.Image)
	if !ok {
		t.Fatal("an image with a subject is no image")
	}
	digest, err := about.Digest()
	if err != nil {
		t.Fatal(err)
	}
	repo := reference(t, server, "acme/web:x").Context()
	if err := remote.Write(repo.Digest(digest.String()), about); err != nil {
		t.Fatal(err)
	}
	if done := collect(t, r, 30*day); done != (registry.Collection{}) {
		t.Errorf("%+v was removed", done)
	}
	if err := remote.Delete(repo.Tag("multi")); err != nil {
		t.Fatal(err)
	}
	if done := collect(t, r, 30*day); done.Manifests != 5 {
		t.Errorf("%+v was removed, want the index, its three images and what is about it", done)
	}
	if used := r.Usage().Bytes; used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// A blob waits for its manifest; who asks for it before a push may count on it.
func TestBlobsThatAreWaitedFor(t *testing.T) {
	dir := t.TempDir()
	r, server := serve(t, registry.Options{Dir: dir})
	const content = "a layer"
	resp, _ := send(t, http.MethodPost, server.URL+"/v2/acme/web/blobs/uploads/?digest="+digestOf(t, content), content)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	if done := collect(t, r, time.Hour); done.Blobs != 0 {
		t.Error("a blob is removed an hour after it came")
	}
	age(t, filepath.Join(dir, "blobs"), 2*day)
	if resp, _ := send(t, http.MethodHead, server.URL+"/v2/acme/web/blobs/"+digestOf(t, content), ""); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if done := collect(t, r, 0); done.Blobs != 0 {
		t.Error("a blob is removed right after it was asked for")
	}
	age(t, filepath.Join(dir, "blobs"), 2*day)
	if done := collect(t, r, 0); done.Blobs != 1 {
		t.Errorf("%+v was removed, want the blob that nobody named", done)
	}
}

// While an upload is being finished nothing is collected.
func TestCollectGivesWayToPushes(t *testing.T) {
	r, server := serve(t, registry.Options{})
	for range 20 {
		done := make(chan error, 1)
		go func() {
			image, _ := randomImage(t)
			done <- remote.Write(reference(t, server, "acme/web:latest"), image)
		}()
		for pushing := true; pushing; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				pushing = false
			default:
				if _, err := r.Collect(time.Now()); err != nil && !errors.Is(err, registry.ErrBusy) {
					t.Fatal(err)
				}
			}
		}
	}
}

// A full registry says so, keeps what it has, and counts what it refused as
// little as what was given up.
func TestTheRegistryIsBounded(t *testing.T) {
	dir := t.TempDir()
	r, server := serve(t, registry.Options{Dir: dir, MaxBytes: 20000})
	digest := push(t, server, "acme/web:1.0.0")
	var refused *transport.Error
	for i := 0; refused == nil; i++ {
		image, err := random.Image(5000, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(reference(t, server, "acme/web:more"), image); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if i > 10 {
			t.Fatal("more is kept than the limit")
		}
	}
	if refused.StatusCode != http.StatusInsufficientStorage || !strings.Contains(refused.Error(), "registry.maxBytes") {
		t.Errorf("got %v", refused)
	}
	abandon(t, server)
	if _, err := remote.Head(reference(t, server, "acme/web@"+digest.String())); err != nil {
		t.Error(err)
	}
	// Uploads that the refused client gave up may be on their way out still.
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		got, want := r.Usage().Bytes, bytesIn(t, dir)
		if got > 20000 {
			t.Fatalf("%d bytes are used, over the limit", got)
		}
		if got == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes are used, and the files have %d", got, want)
		}
	}
}

// Manifests count too: without any blob they fill the registry to its limit and
// not beyond, are counted again after a restart, and make room when they go.
func TestManifestsAreCounted(t *testing.T) {
	const limit = 10000
	dir := t.TempDir()
	r, server := serve(t, registry.Options{Dir: dir, MaxBytes: limit})
	put := func(tag, note string) (answer, string) {
		content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[],"annotations":{"note":"%s"}}`, types.OCIImageIndex, note)
		return send(t, http.MethodPut, server.URL+"/v2/acme/web/manifests/"+tag, content, "Content-Type", string(types.OCIImageIndex))
	}
	kept := 0
	for ; ; kept++ {
		resp, body := put(fmt.Sprintf("v%d", kept), fmt.Sprintf("build %d", kept))
		if resp.StatusCode != http.StatusCreated {
			if resp.StatusCode != http.StatusInsufficientStorage || !strings.Contains(body, "registry.maxBytes") {
				t.Errorf("refused with %s: %s", resp.Status, body)
			}
			break
		}
		if kept > limit {
			t.Fatal("more is kept than the limit")
		}
	}
	if kept == 0 {
		t.Fatal("nothing is kept")
	}
	// What is there already takes no room.
	if resp, body := put("v0", "build 0"); resp.StatusCode != http.StatusCreated {
		t.Errorf("the same again: %s: %s", resp.Status, body)
	}
	for range 2 {
		if got, want := r.Usage().Bytes, bytesIn(t, dir); got != want || got > limit || got == 0 {
			t.Errorf("%d bytes are used, and the files have %d", got, want)
		}
		server.Close()
		r, server = serve(t, registry.Options{Dir: dir, MaxBytes: limit})
	}
	if resp, body := send(t, http.MethodDelete, server.URL+"/v2/acme/web/manifests/v0", ""); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("delete: %s: %s", resp.Status, body)
	}
	if done := collect(t, r, 60*day); done.Manifests != 1 || done.Bytes == 0 {
		t.Errorf("%+v was removed, want the manifest without a tag", done)
	}
	if resp, body := put("new", "x"); resp.StatusCode != http.StatusCreated {
		t.Errorf("with room again: %s: %s", resp.Status, body)
	}
}

// abandon begins uploads that are too large with and without a length, and
// deletes one that is not.
func abandon(t *testing.T, server *httptest.Server) {
	t.Helper()
	if resp, _ := send(t, http.MethodPatch, blobURL(t, server), strings.Repeat("x", 30000)); resp.StatusCode != http.StatusInsufficientStorage {
		t.Errorf("a known length: %s", resp.Status)
	}
	address := blobURL(t, server)
	if resp, _ := send(t, http.MethodPatch, address, "x"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("a byte: %s", resp.Status)
	}
	if resp, _ := send(t, http.MethodDelete, address, ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("give up: %s", resp.Status)
	}
}

func digestOf(t *testing.T, content string) string {
	t.Helper()
	hash, _, err := v1.SHA256(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// age makes files older.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	when := time.Now().Add(-by)
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chtimes(path, when, when)
	}); err != nil {
		t.Fatal(err)
	}
}
