package oci_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
	"github.com/serin-gitops/serin/registry/oci"
)

var insecure = registry.Credentials{Insecure: true}

// host is a real registry over HTTP, in front of which a fault may be put.
type host struct {
	*httptest.Server
	mu       sync.Mutex
	fault    http.HandlerFunc
	requests []string
}

// newHost starts one; a fault that does not write leaves the request to the
// registry.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		fault := h.fault
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
		if fault == nil {
			inner.ServeHTTP(w, r)
			return
		}
		watched := &watch{ResponseWriter: w}
		if fault(watched, r); !watched.written {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// watch sees whether anything was answered.
type watch struct {
	http.ResponseWriter
	written bool
}

func (w *watch) WriteHeader(code int) { w.written = true; w.ResponseWriter.WriteHeader(code) }
func (w *watch) Write(b []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(b)
}

func (h *host) repository() string { return strings.TrimPrefix(h.URL, "http://") + "/acme/web" }

func (h *host) failWith(fault http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault, h.requests = fault, nil
}

func (h *host) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.requests...)
}

// newImage makes an image with a time and labels.
func newImage(t *testing.T, created time.Time, platform v1.Platform, labels map[string]string) v1.Image {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Created = v1.Time{Time: created}
	config.Config.Labels = labels
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func (h *host) reference(t *testing.T, tag string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(h.repository()+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (h *host) push(t *testing.T, tag string, image v1.Image) environments.Digest {
	t.Helper()
	if err := remote.Write(h.reference(t, tag), image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return environments.Digest(digest.String())
}

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

func TestCatalogReads(t *testing.T) {
	h := newHost(t)
	when := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	digest := h.push(t, "1.0.0", newImage(t, when, amd64, map[string]string{
		"org.opencontainers.image.revision": "abc", "org.opencontainers.image.source": "https://git.example/web", "org.opencontainers.image.version": "1.0.0",
	}))
	h.push(t, "1.1.0", newImage(t, when, amd64, nil))
	catalog := oci.New()
	tags, err := catalog.Tags(t.Context(), h.repository(), insecure)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1.0.0", "1.1.0"}, tags); diff != "" {
		t.Error(diff)
	}
	want := registry.Artifact{
		Image:   environments.Image{Repository: h.repository(), Tag: "1.0.0", Digest: digest},
		Created: when, Revision: "abc", Source: "https://git.example/web", Version: "1.0.0",
	}
	for range 2 {
		h.failWith(nil)
		got, err := catalog.Resolve(t.Context(), h.repository(), "1.0.0", &registry.Platform{OS: "linux", Architecture: "amd64"}, insecure)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	// The second time the session and what the digest names were known.
	if diff := cmp.Diff([]string{"HEAD /v2/acme/web/manifests/1.0.0"}, h.asked()); diff != "" {
		t.Error(diff)
	}
	byDigest, err := catalog.Resolve(t.Context(), h.repository(), string(digest), nil, insecure)
	if err != nil {
		t.Fatal(err)
	}
	want.Tag = ""
	if diff := cmp.Diff(want, byDigest); diff != "" {
		t.Error(diff)
	}
}

func TestCatalogChoosesThePlatform(t *testing.T) {
	h := newHost(t)
	early, late := time.Unix(1e9, 0).UTC(), time.Unix(2e9, 0).UTC()
	arm := v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: newImage(t, late, v1.Platform{OS: "unknown", Architecture: "unknown"}, nil), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
		mutate.IndexAddendum{Add: newImage(t, early, amd64, nil), Descriptor: v1.Descriptor{Platform: &amd64}},
		mutate.IndexAddendum{Add: newImage(t, late, arm, nil), Descriptor: v1.Descriptor{Platform: &arm}},
	)
	if err := remote.WriteIndex(h.reference(t, "multi"), index); err != nil {
		t.Fatal(err)
	}
	indexDigest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	h.push(t, "single", newImage(t, early, amd64, nil))
	catalog := oci.New()
	cases := []struct {
		name, tag string
		platform  *registry.Platform
		created   time.Time
		err       error
	}{
		{"default is linux/amd64", "multi", nil, early, nil},
		{"amd64", "multi", &registry.Platform{OS: "linux", Architecture: "amd64"}, early, nil},
		{"arm64", "multi", &registry.Platform{OS: "linux", Architecture: "arm64"}, late, nil},
		{"arm64 of another variant", "multi", &registry.Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}, late, registry.ErrNotFound},
		{"absent", "multi", &registry.Platform{OS: "linux", Architecture: "s390x"}, late, registry.ErrNotFound},
		{"single image of another", "single", &registry.Platform{OS: "linux", Architecture: "arm64"}, late, registry.ErrNotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := catalog.Resolve(t.Context(), h.repository(), c.tag, c.platform, insecure)
			if !errors.Is(err, c.err) {
				t.Fatalf("got error %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if !got.Created.Equal(c.created) || got.Digest != environments.Digest(indexDigest.String()) {
				t.Errorf("got %s of %s, want %s of %s", got.Digest, got.Created, indexDigest, c.created)
			}
		})
	}
}

type failureCase struct {
	name  string
	fault http.HandlerFunc
	is    error
	wait  time.Duration // of a LimitedError; negative for none
	most  int           // requests
}

func failureCases() []failureCase {
	answer := func(code int, header, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	onTags := func(fault http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				fault(w, r)
			}
		}
	}
	return []failureCase{
		{"429 with seconds", onTags(answer(429, "Retry-After", "120", "")), nil, 2 * time.Minute, 2},
		{"429 at the door", answer(429, "Retry-After", "7", ""), nil, 7 * time.Second, 2},
		{"429 without a time", onTags(answer(429, "X", "", "")), nil, 0, 2},
		{"503 with a time", onTags(answer(503, "Retry-After", "5", "")), nil, 5 * time.Second, 2},
		{"500", onTags(answer(500, "X", "", "<html>"+strings.Repeat("oh", 5000))), nil, -1, 4},
		{"401 without a challenge", onTags(answer(401, "X", "", "")), registry.ErrUnauthorized, -1, 2},
		{"401 at the door", answer(401, "WWW-Authenticate", `Basic realm="x"`, `{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}`), registry.ErrUnauthorized, -1, 4},
		{"403", onTags(answer(403, "X", "", "")), registry.ErrUnauthorized, -1, 2},
		{"404", onTags(answer(404, "X", "", `{"errors":[{"code":"NAME_UNKNOWN"}]}`)), registry.ErrNotFound, -1, 2},
		{"wrong JSON", onTags(answer(200, "X", "", `{"tags": 7}`)), nil, -1, 2},
		{"cut JSON", onTags(answer(200, "X", "", `{"tags": ["1.0.0"`)), nil, -1, 2},
	}
}

func TestCatalogFailures(t *testing.T) {
	for _, c := range failureCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.failWith(c.fault)
			as := registry.Credentials{Username: "u", Password: "hunter2", Insecure: true}
			tags, err := oci.New().Tags(t.Context(), h.repository(), as)
			if err == nil || tags != nil {
				t.Fatalf("got %v and error %v, want an error", tags, err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %v", err, c.is)
			}
			var limited *registry.LimitedError
			if errors.As(err, &limited) != (c.wait >= 0) {
				t.Errorf("got %v, want a LimitedError: %v", err, c.wait >= 0)
			}
			if limited != nil && limited.RetryAfter != c.wait {
				t.Errorf("got to wait %s, want %s", limited.RetryAfter, c.wait)
			}
			if n := len(h.asked()); n > c.most {
				t.Errorf("%d requests, want at most %d: %v", n, c.most, h.asked())
			}
			if text := err.Error(); len(text) > 600 || strings.Contains(text, "hunter2") || !strings.Contains(text, h.repository()) {
				t.Errorf("error text: %q", text)
			}
		})
	}
}

func TestCatalogRecoversFromOneFailure(t *testing.T) {
	h := newHost(t)
	h.push(t, "1.0.0", newImage(t, time.Unix(1e9, 0), amd64, nil))
	var once sync.Once
	h.failWith(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			once.Do(func() { w.WriteHeader(http.StatusBadGateway) })
		}
	})
	tags, err := oci.New().Tags(t.Context(), h.repository(), insecure)
	if err != nil || len(tags) != 1 {
		t.Fatalf("got %v, %v", tags, err)
	}
}

type pageCase struct {
	name  string
	serve func(http.ResponseWriter, *http.Request)
	want  int
	is    error
}

func pageCases() []pageCase {
	page := func(w http.ResponseWriter, link string, from, to int) {
		var tags []string
		for i := from; i < to; i++ {
			tags = append(tags, fmt.Sprintf("%q", fmt.Sprintf("1.0.%d", i)))
		}
		if link != "" {
			w.Header().Set("Link", "<"+link+`>; rel="next"`)
		}
		_, _ = fmt.Fprintf(w, `{"name":"acme/web","tags":[%s]}`, strings.Join(tags, ","))
	}
	return []pageCase{
		{"two pages", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") == "" {
				page(w, r.URL.Path+"?n=1000&last=x", 0, 1000)
			} else {
				page(w, "", 1000, 1500)
			}
		}, 1500, nil},
		{"the second page fails", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") == "" {
				page(w, r.URL.Path+"?n=1000&last=x", 0, 1000)
			} else {
				w.WriteHeader(http.StatusNotFound)
			}
		}, 1000, registry.ErrPartial},
		{"a link to another host", func(w http.ResponseWriter, _ *http.Request) {
			page(w, "http://elsewhere.invalid/v2/acme/web/tags/list?last=x", 0, 10)
		}, 0, nil},
		{"cut off without a link", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("n") != "" {
				page(w, "", 0, 1000)
			} else {
				page(w, "", 0, 1500)
			}
		}, 1500, nil},
		{"pages without end", func(w http.ResponseWriter, r *http.Request) {
			page(w, r.URL.Path+"?n=1000&last=x", 0, 1)
		}, 1000, registry.ErrPartial},
	}
}

// TestCatalogPages serves pages with links, the last of which may fail, and
// a registry that cuts off without a link.
func TestCatalogPages(t *testing.T) {
	for _, c := range pageCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.failWith(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/tags/list") {
					c.serve(w, r)
				}
			})
			tags, err := oci.New().Tags(t.Context(), h.repository(), insecure)
			if (err != nil) != (c.is != nil || c.want == 0) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("got error %v, want %v", err, c.is)
			}
			if len(tags) != c.want {
				t.Errorf("got %d tags, want %d", len(tags), c.want)
			}
		})
	}
}

func TestCatalogWithoutHead(t *testing.T) {
	h := newHost(t)
	digest := h.push(t, "1.0.0", newImage(t, time.Unix(1e9, 0), amd64, nil))
	h.failWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	got, err := oci.New().Resolve(t.Context(), h.repository(), "1.0.0", nil, insecure)
	if err != nil || got.Digest != digest || got.Tag != "1.0.0" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// TestCatalogLogsInAgain: a registry that began open asks for a password later.
func TestCatalogLogsInAgain(t *testing.T) {
	h := newHost(t)
	h.push(t, "1.0.0", newImage(t, time.Unix(1e9, 0), amd64, nil))
	catalog := oci.New()
	as := registry.Credentials{Username: "ci", Password: "s3cret", Insecure: true}
	if _, err := catalog.Tags(t.Context(), h.repository(), as); err != nil {
		t.Fatal(err)
	}
	h.failWith(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && password == "s3cret":
			_, _ = io.WriteString(w, `{"token":"ticket"}`)
		case r.Header.Get("Authorization") != "Bearer ticket":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.URL+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	if _, err := catalog.Tags(t.Context(), h.repository(), as); err != nil && !errors.Is(err, registry.ErrUnauthorized) {
		t.Fatal(err)
	}
	if tags, err := catalog.Tags(t.Context(), h.repository(), as); err != nil || len(tags) != 1 {
		t.Errorf("after a new login: got %v, %v", tags, err)
	}
	as.Password = "wrong"
	if _, err := catalog.Tags(t.Context(), h.repository(), as); !errors.Is(err, registry.ErrUnauthorized) {
		t.Errorf("with a wrong password: got %v", err)
	}
}

func TestCatalogRefusesPlainHTTP(t *testing.T) {
	h := newHost(t)
	h.failWith(nil)
	_, err := oci.New().Tags(t.Context(), h.repository(), registry.Credentials{Username: "u", Password: "p"})
	if err == nil || !strings.Contains(err.Error(), "plain http is not allowed") {
		t.Fatalf("got %v", err)
	}
	if asked := h.asked(); len(asked) > 0 {
		t.Errorf("asked in the clear: %v", asked)
	}
}

func TestCatalogTrustsTheGivenCA(t *testing.T) {
	server := httptest.NewTLSServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "https://") + "/acme/web"
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if _, err := oci.New().Tags(t.Context(), repository, registry.Credentials{CA: ca}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("with the CA: got %v, want ErrNotFound", err)
	}
	if _, err := oci.New().Tags(t.Context(), repository, registry.Credentials{}); err == nil || errors.Is(err, registry.ErrNotFound) {
		t.Errorf("without the CA: got %v, want a refusal", err)
	}
	if _, err := oci.New().Tags(t.Context(), repository, registry.Credentials{CA: []byte("nonsense")}); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("with nonsense: got %v", err)
	}
}

func TestCatalogRefusesBadNames(t *testing.T) {
	for _, bad := range []struct{ repository, reference string }{
		{"host/UPPER", "1"}, {"", "1"}, {"host/web", ""}, {"host/web", "a b"}, {"host/web", "sha256:12"},
	} {
		if _, err := oci.New().Resolve(t.Context(), bad.repository, bad.reference, nil, insecure); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}
