package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo/internal/trees"
)

var errNoAuthor = errors.New("the author has no name or no e-mail address, or one that Git cannot hold")

// encodePack writes objects whole: they are few and small, and a server that
// has their bases need not be known.
func encodePack(writes []plumbing.EncodedObject) ([]byte, error) {
	storage := memory.NewStorage()
	hashes := make([]plumbing.Hash, 0, len(writes))
	for _, object := range writes {
		if _, err := storage.SetEncodedObject(object); err != nil {
			return nil, fmt.Errorf("make a pack: %w", err)
		}
		hashes = append(hashes, object.Hash())
	}
	var b bytes.Buffer
	if _, err := packfile.NewEncoder(&b, storage, false).Encode(hashes, 0); err != nil {
		return nil, fmt.Errorf("make a pack: %w", err)
	}
	return b.Bytes(), nil
}

// newCommit makes a commit object.
func newCommit(o *trees.Objects, change overlays.Change, tree plumbing.Hash, parents ...plumbing.Hash) (plumbing.Hash, error) {
	author := object.Signature{Name: strip(change.Author.Name), Email: strip(change.Author.Email), When: change.When}
	commit := &object.Commit{
		Author: author, Committer: author,
		Message:  message(change),
		TreeHash: tree, ParentHashes: parents,
	}
	if change.Signer != nil {
		signature, err := sign(commit, change.Signer)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		commit.PGPSignature = signature
	}
	encoded := &plumbing.MemoryObject{}
	if err := commit.Encode(encoded); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make a commit: %w", err)
	}
	return o.PutObject(encoded), nil
}

// sign signs the commit's bytes; Git keeps GPG and SSH signatures in the same
// header.
func sign(commit *object.Commit, signer overlays.Signer) (string, error) {
	unsigned := &plumbing.MemoryObject{}
	if err := commit.EncodeWithoutSignature(unsigned); err != nil {
		return "", fmt.Errorf("make a commit: %w", err)
	}
	reader, err := unsigned.Reader()
	if err != nil {
		return "", fmt.Errorf("make a commit: %w", err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return "", fmt.Errorf("make a commit: %w", err)
	}
	signature, err := signer.Sign(text)
	if err != nil {
		return "", fmt.Errorf("sign the commit: %w", err)
	}
	return strings.TrimRight(string(signature), "\n") + "\n", nil
}

// strip puts a text on one line.
func strip(text string) string { return strings.Join(strings.Fields(text), " ") }

// message is subject, body and trailers, a blank line between them.
func message(change overlays.Change) string {
	parts := []string{strip(change.Subject)}
	if body := strings.TrimSpace(strings.ReplaceAll(change.Body, "\r\n", "\n")); body != "" {
		parts = append(parts, body)
	}
	var trailers []string
	for _, trailer := range change.Trailers {
		trailers = append(trailers, trailer.Key+": "+strip(trailer.Value))
	}
	if len(trailers) > 0 {
		parts = append(parts, strings.Join(trailers, "\n"))
	}
	return strings.Join(parts, "\n\n") + "\n"
}

var trailerPattern = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*): (.*)$`)

// trailersOf reads the trailers of a message: its last paragraph, where every
// line is one. The subject is none.
func trailersOf(message string) []overlays.Trailer {
	paragraphs := strings.Split(strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")), "\n\n")
	if len(paragraphs) < 2 {
		return nil
	}
	var trailers []overlays.Trailer
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		match := trailerPattern.FindStringSubmatch(line)
		if match == nil {
			return nil
		}
		trailers = append(trailers, overlays.Trailer{Key: match[1], Value: strings.TrimSpace(match[2])})
	}
	return trailers
}

// validChange finds what cannot become a commit, before anything is asked of
// the server.
func validChange(change overlays.Change) error {
	switch {
	case change.Edit == nil:
		return fmt.Errorf("write to %s: no edit is given", change.Branch)
	case strings.TrimSpace(change.Subject) == "":
		return fmt.Errorf("write to %s: the commit has no subject", change.Branch)
	case change.Author.Name == "" || change.Author.Email == "" || strings.ContainsAny(change.Author.Name+change.Author.Email, "<>\n"):
		return fmt.Errorf("write to %s: %w", change.Branch, errNoAuthor)
	}
	for _, trailer := range change.Trailers {
		if !trailerPattern.MatchString(trailer.Key + ": x") {
			return fmt.Errorf("write to %s: the trailer %q is not a word of letters, digits and hyphens", change.Branch, trailer.Key)
		}
	}
	return validBranch(change.Branch)
}

// validBranch holds a name to git check-ref-format's rules.
func validBranch(branch string) error {
	name := plumbing.NewBranchReferenceName(branch)
	if err := name.Validate(); err != nil {
		return fmt.Errorf("branch %q: %w", branch, err)
	}
	return nil
}
