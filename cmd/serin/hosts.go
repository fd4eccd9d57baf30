package main

import (
	"context"
	"fmt"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/forge/branch"
	"github.com/serin-gitops/serin/forge/gitea"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/signing"
)

// hosts makes the adapter that a Pipeline's source.forge names.
type hosts struct{}

// Host implements the promotion controller's port.
func (hosts) Host(_ context.Context, source v1alpha1.Source, repository overlays.Repository, remote overlays.Remote) (forge.Host, error) {
	switch source.Forge {
	case "", "Branch":
		return branch.New(repository, branch.Options{Target: source.Branch, Author: author(source)}), nil
	case "Gitea":
		return giteaHost(source, remote)
	}
	return nil, fmt.Errorf("source.forge %q is unknown; use Branch or Gitea", source.Forge)
}

func author(source v1alpha1.Source) overlays.Identity {
	if source.Author == nil {
		return overlays.Identity{Name: "Serin", Email: "serin@serin.dev"}
	}
	return overlays.Identity{Name: source.Author.Name, Email: source.Author.Email}
}

// giteaHost reads owner and repository off the URL; the password of the Git
// credentials is the access token.
func giteaHost(source v1alpha1.Source, remote overlays.Remote) (forge.Host, error) {
	options, err := gitea.Locate(source.URL)
	if err != nil {
		return nil, fmt.Errorf("source.url: %w", err)
	}
	options.CA, options.Token = remote.CA, remote.Password
	if options.Token == "" {
		options.Token = remote.Bearer
	}
	return gitea.New(options)
}

// signers makes the signer of commits.
type signers struct{}

// Signer implements the promotion controller's port.
func (signers) Signer(key, passphrase []byte) (overlays.Signer, error) {
	return signing.New(key, string(passphrase))
}
