package bootstrap

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestRegistryKeepsImagesOverARestart(t *testing.T) {
	dir := t.TempDir()
	serve := func() *httptest.Server {
		handler, err := newRegistry(dir)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server
	}
	reference := func(server *httptest.Server) name.Reference {
		parsed, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/team/web:v1", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	image, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	first := serve()
	if err := remote.Write(reference(first), image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	first.Close()
	found, err := remote.Get(reference(serve()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if found.Digest != want {
		t.Errorf("digest %s after the restart, pushed %s", found.Digest, want)
	}
}
