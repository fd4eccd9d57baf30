// Package registry is the port to image registries, and the tag policies that
// choose from what one holds.
package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Errors of a Catalog; test with errors.Is.
var (
	// ErrNotFound: no such repository, tag or digest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrUnauthorized: the registry refuses the credentials.
	ErrUnauthorized = errors.New("the registry refuses the credentials")
	// ErrPartial: the list of tags broke off. What was read comes with it, but
	// nothing may be concluded from what is missing.
	ErrPartial = errors.New("the registry's list of tags is incomplete")
)

// LimitedError says that the registry asked for patience.
type LimitedError struct {
	// RetryAfter is what the registry asked for, zero where it did not say.
	RetryAfter time.Duration
	Err        error
}

func (e *LimitedError) Error() string {
	if e.RetryAfter <= 0 {
		return fmt.Sprintf("the registry asks for patience: %v", e.Err)
	}
	return fmt.Sprintf("the registry asks to wait %s: %v", e.RetryAfter, e.Err)
}

func (e *LimitedError) Unwrap() error { return e.Err }

// Platform chooses from a multi-platform index, "linux/amd64" as {linux, amd64}.
type Platform struct {
	OS, Architecture, Variant string
}

// Artifact is one image as the registry holds it.
type Artifact struct {
	environments.Image
	// Created is from the image's configuration; zero where not said.
	Created time.Time
	// Revision, Source and Version are the OCI annotations or labels
	// org.opencontainers.image.*; empty where not said.
	Revision, Source, Version string
}

// Credentials enter a registry; the zero value is anonymous.
type Credentials struct {
	Username, Password string
	// CA is a PEM bundle trusted in addition to the system's.
	CA []byte
	// Insecure asks over plain http.
	Insecure bool
}

// Catalog reads a registry.
type Catalog interface {
	// Tags lists all the tags of a repository, in the registry's order. With
	// ErrPartial it returns those read until then.
	Tags(ctx context.Context, repository string, as Credentials) ([]string, error)
	// Resolve looks a tag or digest up. With a platform the digest is still the
	// index's where there is one, but an index without that platform is
	// ErrNotFound; Created and labels are that platform's. A single image that
	// names another platform is ErrNotFound too.
	Resolve(ctx context.Context, repository, reference string, platform *Platform, as Credentials) (Artifact, error)
}
