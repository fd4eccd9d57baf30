package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// ImageFile is one file of an image that BuildImage makes.
type ImageFile struct {
	// Path is absolute in the image.
	Path string
	Data []byte
	// Mode holds the permission bits.
	Mode int64
}

// BuildImage makes an image for linux/amd64 out of files, started by entrypoint.
// The same input gives the same digest.
func BuildImage(files []ImageFile, entrypoint []string, env ...string) (v1.Image, error) {
	layer, err := buildLayer(files)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint, config.Config.Env = entrypoint, env
	return mutate.ConfigFile(image, config)
}

// buildLayer packs files in the order of their paths and without times.
func buildLayer(files []ImageFile) (v1.Layer, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b ImageFile) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, file := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Clean(file.Path)[1:], Size: int64(len(file.Data)), Mode: file.Mode, ModTime: time.Unix(0, 0),
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("image file %s: %w", file.Path, err)
		}
		if _, err := archive.Write(file.Data); err != nil {
			return nil, fmt.Errorf("image file %s: %w", file.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	})
}

// PushBinary makes an image of one static binary and pushes it to the bootstrap
// registry as repository:tag. It returns the reference pods use.
func (c *Cluster) PushBinary(ctx context.Context, reference, binary string) (string, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	entry := "/" + path.Base(binary)
	image, err := BuildImage([]ImageFile{{Path: entry, Data: data, Mode: 0o755}}, []string{entry})
	if err != nil {
		return "", fmt.Errorf("image %s: %w", reference, err)
	}
	reference = BootstrapPrefix + "/" + reference
	return reference, c.Push(ctx, reference, image)
}

// Push pushes an image to a registry inside the sandbox by the name that pods
// use for it, such as bootstrap.local:5001/shop:v1. To Gitea's registry it
// pushes as Gitea's administrator: gitea.local:3000/serin/shop:v1.
func (c *Cluster) Push(ctx context.Context, reference string, image v1.Image) error {
	login := authn.Anonymous
	if strings.HasPrefix(reference, layout.HostPort("gitea.local", layout.GiteaPort)+"/") {
		login = &authn.Basic{Username: c.Gitea.User, Password: c.Gitea.Token}
	}
	return c.PushAs(ctx, reference, image, login)
}

// PushAs is Push with credentials.
func (c *Cluster) PushAs(ctx context.Context, reference string, image v1.Image, login authn.Authenticator) error {
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return fmt.Errorf("image reference %q: %w", reference, err)
	}
	if err := remote.Write(parsed, image, remote.WithContext(ctx), remote.WithTransport(c.Transport()), remote.WithAuth(login)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	return nil
}

// Transport sends HTTP requests into the sandbox, to addresses and names as
// Dial takes them, and repeats what fails for the moment.
func (c *Cluster) Transport() http.RoundTripper {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 5
	client.RetryWaitMin, client.RetryWaitMax = 100*time.Millisecond, 2*time.Second
	client.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
	return &retryablehttp.RoundTripper{Client: client}
}
