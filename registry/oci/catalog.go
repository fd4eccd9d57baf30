// Package oci reads registries that speak the OCI distribution protocol, by
// way of github.com/google/go-containerregistry.
package oci

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/golang/groupcache/lru"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

// Bounds of what is kept and asked.
const (
	keptArtifacts = 8192
	keptClients   = 256
	pageSize      = 1000
	maxPages      = 1000
)

// Catalog implements registry.Catalog. It remembers what can never change, by
// digest, and keeps sessions and connections open between polls, so that a
// poll at rest costs one request per image. It is safe for concurrent use.
type Catalog struct {
	mu        sync.Mutex
	artifacts *lru.Cache // artifactKey -> registry.Artifact
	clients   *lru.Cache // clientKey -> *remote.Puller
}

var _ registry.Catalog = (*Catalog)(nil)

// New makes an empty Catalog.
func New() *Catalog {
	return &Catalog{artifacts: lru.New(keptArtifacts), clients: lru.New(keptClients)}
}

// artifactKey names what an Artifact was read from. The digest alone would
// not do: who may see an image in one repository may not in another.
type artifactKey struct {
	repository string
	digest     environments.Digest
	platform   registry.Platform
	client     [sha256.Size]byte
}

// clientKey names a session: one repository, as one user. The hash keeps
// passwords out of what a debugger or heap dump shows as keys.
type clientKey struct {
	repository string
	as         [sha256.Size]byte
	pageSize   int
}

// Tags implements registry.Catalog.
func (c *Catalog) Tags(ctx context.Context, repository string, as registry.Credentials) ([]string, error) {
	repo, err := parseRepository(repository, as)
	if err != nil {
		return nil, err
	}
	tags, full, err := c.listTags(ctx, repo, as, pageSize)
	if err != nil || full {
		return tags, err
	}
	// A full last page without a link to the next: either just so many tags, or
	// a registry that cuts off at the page size. Asked without one it tells all.
	tags, _, err = c.listTags(ctx, repo, as, 0)
	return tags, err
}

func (c *Catalog) listTags(ctx context.Context, repo name.Repository, as registry.Credentials, pageSize int) (tags []string, full bool, err error) {
	key := clientKey{repository: repo.Name(), as: fingerprint(as), pageSize: pageSize}
	puller, err := c.puller(key, as)
	if err != nil {
		return nil, false, fmt.Errorf("repository %s: %w", repo.Name(), err)
	}
	if tags, full, err = readPages(ctx, puller, repo); err != nil {
		return tags, false, c.failed(key, repo.Name(), err)
	}
	return tags, full, nil
}

// readPages reads page after page. It is not full where the last page may have
// been cut off.
func readPages(ctx context.Context, puller *remote.Puller, repo name.Repository) (tags []string, full bool, err error) {
	lister, err := puller.Lister(ctx, repo)
	if err != nil {
		return nil, false, err
	}
	last := 0
	for page := 0; lister.HasNext(); page++ {
		if page == maxPages {
			return tags, false, fmt.Errorf("%w: more than %d pages", registry.ErrPartial, maxPages)
		}
		next, err := lister.Next(ctx)
		if err != nil {
			if len(tags) > 0 {
				err = fmt.Errorf("%w after %d tags: %w", registry.ErrPartial, len(tags), err)
			}
			return tags, false, err
		}
		tags = append(tags, next.Tags...)
		last = len(next.Tags)
	}
	return tags, last < pageSize, nil
}

// Resolve implements registry.Catalog.
func (c *Catalog) Resolve(ctx context.Context, repository, reference string, platform *registry.Platform, as registry.Credentials) (registry.Artifact, error) {
	repo, err := parseRepository(repository, as)
	if err != nil {
		return registry.Artifact{}, err
	}
	ref, err := parseReference(repo, reference)
	if err != nil {
		return registry.Artifact{}, err
	}
	session := clientKey{repository: repo.Name(), as: fingerprint(as), pageSize: pageSize}
	puller, err := c.puller(session, as)
	if err != nil {
		return registry.Artifact{}, fmt.Errorf("repository %s: %w", repository, err)
	}
	subject := repository + " " + reference
	head, err := puller.Head(ctx, ref)
	if err != nil && !headUnusable(err) {
		return registry.Artifact{}, c.failed(session, subject, err)
	}
	key := artifactKey{repository: repository, client: session.as}
	if platform != nil {
		key.platform = *platform
	}
	if err == nil {
		key.digest = environments.Digest(head.Digest.String())
		if known, ok := c.artifact(key); ok {
			return tagged(known, ref), nil
		}
		// By digest from here on, in case the tag moves meanwhile.
		ref = repo.Digest(head.Digest.String())
	}
	artifact, err := read(ctx, puller, ref, platform)
	if err != nil {
		return registry.Artifact{}, c.failed(session, subject, err)
	}
	artifact.Repository = repository
	key.digest = artifact.Digest
	c.remember(key, artifact)
	if tag, err := parseReference(repo, reference); err == nil {
		artifact = tagged(artifact, tag)
	}
	return artifact, nil
}

// headUnusable says that HEAD gave no digest where GET still may: some proxies
// strip the header, some registries do not allow the method.
func headUnusable(err error) bool {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode == http.StatusMethodNotAllowed || status.StatusCode == http.StatusNotImplemented
	}
	var limited *registry.LimitedError
	return !errors.As(err, &limited) && isHeaderMissing(err)
}

// tagged adds the tag that the artifact was asked for by; none for a digest.
func tagged(a registry.Artifact, ref name.Reference) registry.Artifact {
	if tag, ok := ref.(name.Tag); ok {
		a.Tag = tag.TagStr()
	}
	return a
}

func (c *Catalog) artifact(key artifactKey) (registry.Artifact, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok := c.artifacts.Get(key); ok {
		artifact, ok := value.(registry.Artifact)
		return artifact, ok
	}
	return registry.Artifact{}, false
}

func (c *Catalog) remember(key artifactKey, artifact registry.Artifact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.artifacts.Add(key, artifact)
}

// puller returns the session for a repository and user, with its connections
// and token.
func (c *Catalog) puller(key clientKey, as registry.Credentials) (*remote.Puller, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok := c.clients.Get(key); ok {
		if puller, ok := value.(*remote.Puller); ok {
			return puller, nil
		}
	}
	puller, err := newPuller(as, key.pageSize)
	if err != nil {
		return nil, err
	}
	c.clients.Add(key, puller)
	return puller, nil
}

// failed explains an error. A session that was refused is given up: the
// registry may by now ask for another kind of login than when it began.
func (c *Catalog) failed(key clientKey, subject string, err error) error {
	err = explain(subject, err)
	if errors.Is(err, registry.ErrUnauthorized) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.clients.Remove(key)
	}
	return err
}

func newPuller(as registry.Credentials, pageSize int) (*remote.Puller, error) {
	way, err := newTransport(as)
	if err != nil {
		return nil, err
	}
	auth := authn.Anonymous
	if as.Username != "" || as.Password != "" {
		auth = authn.FromConfig(authn.AuthConfig{Username: as.Username, Password: as.Password})
	}
	return remote.NewPuller(
		remote.WithTransport(way),
		remote.WithAuth(auth),
		remote.WithPageSize(pageSize),
		remote.WithUserAgent("serin"),
		// The transport retries already; twice would multiply.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	)
}

// fingerprint tells credentials apart without keeping them.
func fingerprint(as registry.Credentials) [sha256.Size]byte {
	// A struct of strings, bytes and a bool always encodes.
	text, _ := json.Marshal(as)
	return sha256.Sum256(text)
}

func parseRepository(repository string, as registry.Credentials) (name.Repository, error) {
	var options []name.Option
	if as.Insecure {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(repository, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("repository %q: %w; write it like ghcr.io/acme/web, without tag", repository, err)
	}
	return repo, nil
}

// parseReference reads a tag or a digest.
func parseReference(repo name.Repository, reference string) (name.Reference, error) {
	if _, err := v1.NewHash(reference); err == nil {
		return repo.Digest(reference), nil
	}
	tag, err := name.NewTag(repo.Name() + ":" + reference)
	if err != nil || reference == "" {
		return nil, fmt.Errorf("repository %s: reference %q is neither a tag nor sha256:<64 hexadecimal digits>", repo.Name(), reference)
	}
	// repo.Tag keeps what the repository knows of the scheme.
	return repo.Tag(tag.TagStr()), nil
}
