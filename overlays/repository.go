// Package overlays edits kustomize overlays byte by byte, renders them and says
// what an edit changes. It knows Git only as the port Repository.
package overlays

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// Revision is the full hash of a commit.
type Revision string

// Short is the revision for people, 10 digits.
func (r Revision) Short() string { return string(r[:min(len(r), 10)]) }

// Errors of a Repository; test with errors.Is. The text of an error never
// holds a credential.
var (
	// ErrNoBranch: the branch is not there.
	ErrNoBranch = errors.New("no such branch")
	// ErrProtected: the host refuses direct commits to this branch.
	ErrProtected = errors.New("the branch is protected")
	// ErrUnauthorized: the host refuses the credentials.
	ErrUnauthorized = errors.New("the Git host refuses the credentials")
	// ErrMoved: a branch is not where the caller expected it.
	ErrMoved = errors.New("the branch has moved")
)

// File is one file after an edit.
type File struct {
	// Path is slash-separated and relative to the repository's root.
	Path string
	// Content is the whole file; nil removes it.
	Content []byte
}

// Edit computes the changed files from a tip's files. It is a pure function:
// after a lost race it is called again with the newer tip. No file changed
// means that there is nothing to write. An error ends the write.
type Edit func(tip fs.FS) ([]File, error)

// Identity is who a commit is from.
type Identity struct {
	Name, Email string
}

// Trailer is one line "Key: value" at the end of a commit message.
type Trailer struct {
	Key, Value string
}

// Signer signs the bytes of a commit object and returns the armoured
// signature (GPG or SSH), as git's gpgsig header holds it.
type Signer interface {
	Sign(message []byte) ([]byte, error)
}

// Change is one commit to write.
type Change struct {
	// Branch is written.
	Branch string
	// Base, where set and not Branch, is the branch whose tip the edit is
	// applied to: Branch then becomes that tip with this one commit upon it,
	// whatever it was before (a proposal is rewritten in place, never merged).
	Base string
	// Subject and Body are the message; Trailers end it.
	Subject, Body string
	Trailers      []Trailer
	// Author is also the committer. When is the commit's time.
	Author Identity
	When   time.Time
	Edit   Edit
	// Signer signs the commit; nil leaves it unsigned.
	Signer Signer
}

// Written is what came of a Change.
type Written struct {
	// Revision is the new commit, or the tip where nothing was to be written.
	Revision Revision
	// Parent is the tip that the edit was applied to.
	Parent Revision
	// Changed says whether a commit was written.
	Changed bool
	// Paths are the files that differ from the parent.
	Paths []string
}

// Tip is the newest commit of a branch.
type Tip struct {
	Revision Revision
	Parents  []Revision
	// Files reads the commit's tree; what is not at hand yet is fetched.
	Files fs.FS
	// Author and When are the commit's, Message is whole.
	Author   Identity
	When     time.Time
	Message  string
	Trailers []Trailer
}

// Commit is a commit of a branch's history, without its files.
type Commit struct {
	Revision Revision
	Parents  []Revision
	Trailers []Trailer
}

// Repository is a Git repository that is written without a checkout. Every
// method asks the server (Tip costs one ls-refs where nothing moved).
type Repository interface {
	// Tip reads a branch. Errors: ErrNoBranch, ErrUnauthorized.
	Tip(ctx context.Context, branch string) (Tip, error)
	// History reads the commits that tip reaches and since does not, the newest
	// first, down to depth generations; an empty since is all of them. It asks the
	// server only for what is not at hand, and for commits alone where the server
	// can leave the rest out. Where clocks of writers disagree, some commits that
	// since reaches may be among them. Errors: ErrUnauthorized.
	History(ctx context.Context, tip, since Revision, depth int) ([]Commit, error)
	// Write applies the edit to the newest tip and pushes; on a lost race it
	// fetches, applies the edit again and pushes again, never forcing a Base
	// branch, never merging. Waiting writes of one branch share a fetch and a
	// push. Errors: ErrNoBranch (Base is not there), ErrProtected,
	// ErrUnauthorized (who may read and not push, also where nothing would change),
	// or the Edit's own error.
	Write(ctx context.Context, change Change) (Written, error)
	// DeleteBranch removes a branch that is at expected (ErrMoved otherwise);
	// one that is gone already is no error.
	DeleteBranch(ctx context.Context, branch string, expected Revision) error
	// Merge moves target to include source: fast-forward where possible, else a
	// merge commit whose tree is source's edit applied to target's tip (edit
	// gives it). Hosts without pull requests approve by it, so it merges source
	// only while that is at head, which was approved (ErrMoved otherwise).
	Merge(ctx context.Context, target, source string, head Revision, change Change) (Written, error)
	// Branches lists the branches that begin with prefix, with their tips.
	Branches(ctx context.Context, prefix string) (map[string]Revision, error)
}

// Remote says where a repository is and how to enter it.
type Remote struct {
	// URL is http(s):// or ssh://.
	URL string
	// Username and Password (or token) for HTTP basic authentication; Bearer
	// instead of both for a bearer token.
	Username, Password, Bearer string
	// PrivateKey (PEM), its passphrase in Password, and KnownHosts for SSH.
	PrivateKey, KnownHosts []byte
	// CA is a PEM bundle trusted in addition to the system's.
	CA []byte
}

// Repositories opens repositories and keeps their stores.
type Repositories interface {
	Open(ctx context.Context, remote Remote) (Repository, error)
}
