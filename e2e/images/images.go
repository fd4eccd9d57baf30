// Package images builds the container images that the sandbox runs, without
// Docker: a Go program is built statically, put into one layer and pushed.
//
// The same sources, toolchain and Spec always give the same digest.
package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// source is where the labels say that the images' source is.
const source = "https://github.com/serin-gitops/serin"

// Variant is a way an image of ipfs-kit can be good or bad; see
// examples/ipfs-kit.
type Variant string

// The variants of ipfs-kit.
const (
	Good    Variant = "good"
	Errors  Variant = "errors"
	Slow    Variant = "slow"
	NoPeers Variant = "no-peers"
	Crash   Variant = "crash"
	Unready Variant = "unready"
)

// Builder builds images of one checkout of the project.
type Builder struct {
	// Root is the project's root.
	Root string
	// Cache is where binaries are kept, so that an unchanged one is not linked
	// again; empty means <Root>/.cache/images.
	Cache string
	// Revision goes into the label org.opencontainers.image.revision; empty
	// means the commit that is checked out.
	Revision string
	// Created goes into the image's creation time and its label; zero means a
	// fixed time that is later for a later version.
	Created time.Time
}

// Root finds the project's root upwards from the working directory.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project's root: %w", err)
	}
	for directory := start; ; directory = filepath.Dir(directory) {
		if _, err := os.Stat(filepath.Join(directory, "examples", "ipfs-kit", "go.mod")); err == nil {
			return directory, nil
		}
		if directory == filepath.Dir(directory) {
			return "", fmt.Errorf("find the project's root: no folder above %s has examples/ipfs-kit/go.mod", start)
		}
	}
}

// IPFSKit builds the example workload in one variant. version is told by the
// program itself and by the image's labels.
func (b *Builder) IPFSKit(ctx context.Context, version string, variant Variant) (v1.Image, error) {
	return b.build(ctx, program{
		name: "ipfs-kit", folder: "examples/ipfs-kit", target: ".", version: version,
		variables: map[string]string{"main.version": version, "main.variant": string(variant)},
	})
}

// Serin builds the product's own image, as its Dockerfile does.
func (b *Builder) Serin(ctx context.Context, version string) (v1.Image, error) {
	return b.build(ctx, serinOf(version))
}

// SerinCommand builds the same program for this machine, as people run it, and
// returns its path.
func (b *Builder) SerinCommand(ctx context.Context, version string) (string, error) {
	p := serinOf(version)
	p.here = true
	return b.compile(ctx, p)
}

func serinOf(version string) program {
	return program{
		name: "serin", folder: ".", target: "./cmd/serin", version: version,
		variables: map[string]string{"main.version": version}, certificates: true,
	}
}

// Load builds the load generator of e2e/load.
func (b *Builder) Load(ctx context.Context, version string) (v1.Image, error) {
	return b.build(ctx, program{name: "load", folder: ".", target: "./e2e/load/cmd/load", version: version})
}

func (b *Builder) build(ctx context.Context, p program) (v1.Image, error) {
	binary, err := b.compile(ctx, p)
	if err != nil {
		return nil, err
	}
	revision, err := b.revision()
	if err != nil {
		return nil, err
	}
	img, err := assemble(p, binary, labels{
		version: p.version, revision: revision, source: source, created: b.created(p.version),
	})
	if err != nil {
		return nil, fmt.Errorf("assemble the image %s:%s: %w", p.name, p.version, err)
	}
	return img, nil
}

// revision is the commit of Root; a tree without Git has none.
func (b *Builder) revision() (string, error) {
	if b.Revision != "" {
		return b.Revision, nil
	}
	repository, err := git.PlainOpenWithOptions(b.Root, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("open the Git repository %s: %w", b.Root, err)
	}
	head, err := repository.Head()
	if err != nil {
		return "", fmt.Errorf("read HEAD of %s: %w", b.Root, err)
	}
	return head.Hash().String(), nil
}

// PushOptions say how to reach a registry.
type PushOptions struct {
	// Transport carries the requests; nil means remote.DefaultTransport. One
	// that dials elsewhere pushes under the name that the cluster knows.
	Transport http.RoundTripper
	// Authenticator is nil for a registry that asks for nothing.
	Authenticator authn.Authenticator
	// HTTPS asks for TLS; the sandbox's registries speak plain HTTP.
	HTTPS bool
}

// Push uploads img under ref ("127.0.0.1:5000/ipfs-kit:v1.0.0") and returns
// its digest.
func Push(ctx context.Context, ref string, img v1.Image, options PushOptions) (v1.Hash, error) {
	naming := []name.Option{name.StrictValidation}
	if !options.HTTPS {
		naming = append(naming, name.Insecure)
	}
	tag, err := name.ParseReference(ref, naming...)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push to %q: %w", ref, err)
	}
	settings := []remote.Option{remote.WithContext(ctx)}
	if options.Transport != nil {
		settings = append(settings, remote.WithTransport(options.Transport))
	}
	if options.Authenticator != nil {
		settings = append(settings, remote.WithAuth(options.Authenticator))
	}
	if err := remote.Write(tag, img, settings...); err != nil {
		return v1.Hash{}, fmt.Errorf("push to %q: %w", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push to %q: compute the digest: %w", ref, err)
	}
	return digest, nil
}
