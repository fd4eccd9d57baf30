// Package forge is the port to Git hosts' pull requests.
package forge

import (
	"context"
	"errors"
	"time"
)

// State is where a pull request stands.
type State string

// States of a pull request.
const (
	Open   State = "Open"
	Merged State = "Merged"
	Closed State = "Closed"
)

// Errors of a Host; test with errors.Is.
var (
	// ErrNotFound: there is no such pull request.
	ErrNotFound = errors.New("no such pull request")
	// ErrUnauthorized: the host refuses the credentials.
	ErrUnauthorized = errors.New("the Git host refuses the credentials")
	// ErrNotMergeable: the host refuses to merge now (conflict, checks, a
	// moved head); the text says why.
	ErrNotMergeable = errors.New("the pull request cannot be merged")
)

// Draft is what a pull request says.
type Draft struct {
	// Source is the branch with the change, Target the one it goes to.
	Source, Target string
	Title, Body    string
	Labels         []string
}

// PullRequest is a pull request as the host shows it.
type PullRequest struct {
	// ID is the host's number, or the branch where there are no numbers.
	ID  string
	URL string
	Draft
	State State
	// Head is the commit that Source is at.
	Head string
	// MergedAs is the commit on Target, once merged, where the host tells.
	MergedAs string
	// ClosedBy is who merged or closed it, where the host tells.
	ClosedBy string
	Updated  time.Time
}

// Host is a Git host's pull requests of one repository. Every method is
// idempotent.
type Host interface {
	// Find returns the newest pull request from source to target: an open one
	// where there is one, else the last that was closed or merged.
	// Errors: ErrNotFound, ErrUnauthorized.
	Find(ctx context.Context, source, target string) (PullRequest, error)
	// Get returns the pull request with this ID. Errors as Find.
	Get(ctx context.Context, id string) (PullRequest, error)
	// Create opens one; where an open one from Source to Target is there
	// already it is updated instead.
	Create(ctx context.Context, draft Draft) (PullRequest, error)
	// Update sets title, body and labels of an open one.
	Update(ctx context.Context, id string, draft Draft) (PullRequest, error)
	// Close closes an open one with a comment that says why.
	Close(ctx context.Context, id, comment string) error
	// Merge merges an open one whose head is still head.
	// Errors: ErrNotMergeable.
	Merge(ctx context.Context, id, head string) (PullRequest, error)
}
