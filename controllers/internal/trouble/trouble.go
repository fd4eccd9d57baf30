// Package trouble puts what keeps a controller from going on in a person's
// words: what happened, and what to do.
package trouble

import (
	"errors"
	"fmt"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/registry"
)

// Trouble keeps an object from going on.
type Trouble struct {
	// Reason is the condition's.
	Reason, Message string
	// Stalled says that only a change by a person helps; else it is tried again
	// with growing patience.
	Stalled bool
	// Err is retried by the work queue; nil where the interval is soon enough.
	Err error
}

// First is the first that is not nil.
func First(found ...*Trouble) *Trouble {
	for _, t := range found {
		if t != nil {
			return t
		}
	}
	return nil
}

// OverlayError says that the overlay itself is the trouble, not the way to it.
type OverlayError struct{ Err error }

func (e *OverlayError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *OverlayError) Unwrap() error { return e.Err }

// Git classifies an error of reading or writing an Environment's overlay; what
// says in a few words what could not be done.
func Git(what string, err error, source v1alpha1.Source, environment v1alpha1.Environment) *Trouble {
	t := &Trouble{Reason: "GitFailed", Message: fmt.Sprintf("cannot %s: %v", what, err)}
	var secret *access.SecretError
	var overlay *OverlayError
	var grant *access.GrantError
	switch {
	case errors.As(err, &grant):
		t.Reason, t.Stalled = "NamespaceNotAllowed", true
	case errors.As(err, &secret):
		t.Reason, t.Stalled = "CredentialsMissing", true
	case errors.As(err, &overlay):
		t.Reason, t.Stalled = "OverlayInvalid", true
		t.Message = fmt.Sprintf("cannot %s in %s on branch %s: %v. Nothing was written; mend the overlay", what, environment.Path, source.Branch, err)
	case errors.Is(err, overlays.ErrUnauthorized), errors.Is(err, forge.ErrUnauthorized):
		t.Reason, t.Stalled = "Unauthorized", true
		t.Message += ". " + credentialsHint("spec.source.secretRef", source.SecretRef != nil)
	case errors.Is(err, overlays.ErrProtected):
		t.Reason, t.Stalled = "BranchProtected", true
		t.Message += fmt.Sprintf(". Allow Serin to push to %s, or set promotion: PullRequest for environment %s", source.Branch, environment.Name)
	case errors.Is(err, overlays.ErrNoBranch):
		t.Reason, t.Stalled = "BranchMissing", true
		t.Message += fmt.Sprintf(". Create branch %s, or mend spec.source.branch", source.Branch)
	default:
		t.Err = err
	}
	return t
}

// Registry classifies an error of looking for an image.
func Registry(image v1alpha1.ImageSource, err error) *Trouble {
	t := &Trouble{Reason: "RegistryFailed", Message: err.Error()}
	var secret *access.SecretError
	var limited *registry.LimitedError
	switch {
	case errors.As(err, &secret):
		t.Reason, t.Stalled = "CredentialsMissing", true
	case errors.Is(err, registry.ErrUnauthorized):
		t.Reason, t.Stalled = "RegistryUnauthorized", true
		t.Message += ". " + credentialsHint(fmt.Sprintf("spec.images[repository=%s].secretRef", image.Repository), image.SecretRef != nil)
	case errors.Is(err, registry.ErrNotFound):
		t.Reason, t.Stalled = "ImageNotFound", true
		t.Message += fmt.Sprintf(". Push %s, or mend spec.images", image.Repository)
	case errors.As(err, &limited):
		t.Reason = "RegistryLimited"
		t.Message += ". What runs stays; it is asked again later"
	default:
		t.Message += ". What runs stays; it is asked again later"
	}
	return t
}

func credentialsHint(field string, named bool) string {
	if named {
		return "Check the Secret that " + field + " names, and what its account may do"
	}
	return "Name a Secret with credentials in " + field
}
