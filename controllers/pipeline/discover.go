package pipeline

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

// discover finds the image that each policy chooses. What a registry cannot
// tell now stays as it was chosen last, and holds up nothing else.
func (r *Reconciler) discover(ctx context.Context, s *scope) {
	for _, image := range s.pipeline.Spec.Images {
		found := r.look(ctx, s, image)
		chosen := s.chosen(image.Repository)
		if found.artifact.Tag != "" || found.artifact.Digest != "" {
			chosen.ImageReference = convert.Reference(found.artifact.Image)
			chosen.Repository = image.Repository
		}
		chosen.Reason = found.reason
		if found.trouble != nil {
			chosen.Reason = found.trouble.Message
			s.troubles = append(s.troubles, found.trouble)
		} else {
			chosen.Checked = &metav1.Time{Time: found.at}
		}
		s.images = append(s.images, chosen)
	}
}

// chosen is the choice as it was reported last.
func (s *scope) chosen(repository string) v1alpha1.ImageStatus {
	for _, image := range s.pipeline.Status.Images {
		if image.Repository == repository {
			return image
		}
	}
	return v1alpha1.ImageStatus{ImageReference: v1alpha1.ImageReference{Repository: repository}}
}

// look asks for one image, where that is due.
func (r *Reconciler) look(ctx context.Context, s *scope, image v1alpha1.ImageSource) look {
	key := s.pipeline.Namespace + "/" + s.pipeline.Name + " " + image.Repository
	question, hint := fmt.Sprintf("%+v", image.Policy)+image.Platform+image.Endpoint, r.Hints.LastImage(image.Repository)
	last, known := r.looks.last(key)
	if known && last.question == question && last.hint == hint && s.now.Sub(last.at) < s.interval() {
		s.sooner(s.interval() - s.now.Sub(last.at))
		return last
	}
	host := access.Host(image)
	if until := r.looks.wait(host, key); until.After(s.now) {
		s.sooner(until.Sub(s.now))
		if !known {
			last.trouble = &trouble.Trouble{Reason: "RegistryFailed", Message: fmt.Sprintf("registry %s is left alone for a while after an error", host)}
		}
		return last
	}
	found := look{at: s.now, hint: hint, question: question}
	choice, err := r.ask(ctx, s, image)
	if err != nil {
		found.trouble, found.artifact = trouble.Registry(image, err), last.artifact
		if retried(err) {
			// Not remembered as an answer: it is asked again when its patience ends.
			found.at = time.Time{}
			s.sooner(r.looks.failed(blamed(host, key, err), patienceOf(err), s.now).Sub(s.now))
		}
		r.looks.keep(key, found)
		return found
	}
	r.looks.succeeded(host, key)
	found.artifact, found.reason = choice.Artifact, choice.Reason
	r.looks.keep(key, found)
	return found
}

// retried says whether asking again may help by itself, and not a person.
func retried(err error) bool {
	var secret *access.SecretError
	return !errors.As(err, &secret) && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrUnauthorized)
}

// blamed is who is left alone after an error: the registry where it asks for
// that, else only this image of this Pipeline. Its trouble may be its own, and
// is to hold up no other Pipeline.
func blamed(host, key string, err error) string {
	var limited *registry.LimitedError
	if errors.As(err, &limited) {
		return host
	}
	return key
}

func patienceOf(err error) time.Duration {
	var limited *registry.LimitedError
	if errors.As(err, &limited) {
		return limited.RetryAfter
	}
	return 0
}

// ask asks the registry.
func (r *Reconciler) ask(ctx context.Context, s *scope, image v1alpha1.ImageSource) (registry.Choice, error) {
	credentials, err := r.Secrets.Registry(ctx, s.pipeline.Namespace, image)
	if err != nil {
		return registry.Choice{}, err
	}
	current := registry.Artifact{Image: convert.Image(s.chosen(image.Repository).ImageReference)}
	if facts, known := s.facts(current.Image); known && facts.Created != nil {
		current.Created = facts.Created.Time
	}
	current.Repository = askedAs(image)
	if current.Tag == "" && current.Digest == "" {
		current = registry.Artifact{}
	}
	choice, err := registry.Discover(ctx, r.Catalog, registry.Query{
		Repository: askedAs(image), Policy: convert.Policy(image.Policy), Platform: convert.Platform(image.Platform),
		Credentials: credentials, Current: current,
	})
	if choice.Artifact.Tag != "" || choice.Artifact.Digest != "" {
		choice.Artifact.Repository = image.Repository
	}
	return choice, err
}

// askedAs is the image's name at the registry that is asked.
func askedAs(image v1alpha1.ImageSource) string {
	if image.Endpoint == "" {
		return image.Repository
	}
	name := image.Repository
	if host, rest, found := strings.Cut(name, "/"); found && strings.ContainsAny(host, ".:") {
		name = rest
	}
	return image.Endpoint + "/" + name
}

// facts are what a Release recorded of an image.
func (s *scope) facts(image environments.Image) (v1alpha1.ReleaseImage, bool) {
	for _, release := range s.releases {
		at := slices.IndexFunc(release.Spec.Images, func(i v1alpha1.ReleaseImage) bool { return convert.Image(i.ImageReference) == image })
		if at >= 0 {
			return release.Spec.Images[at], true
		}
	}
	return v1alpha1.ReleaseImage{}, false
}

// release makes a Release of the chosen images, where there is none yet.
func (r *Reconciler) release(ctx context.Context, s *scope) error {
	if s.pipeline.Spec.Suspend {
		return nil
	}
	chosen := make([]environments.Image, 0, len(s.images))
	for _, image := range s.images {
		chosen = append(chosen, convert.Image(image.ImageReference))
	}
	found := environments.Discover(s.pipeline.Name, chosen, convert.Releases(s.releases))
	if found.Release == nil {
		return nil
	}
	// The sequence is counted on what the API server has, not on a cache.
	if err := s.list(ctx, r.Uncached); err != nil {
		return err
	}
	s.fresh = true
	if found = environments.Discover(s.pipeline.Name, chosen, convert.Releases(s.releases)); found.Release == nil {
		return nil
	}
	release, err := r.newRelease(s, *found.Release)
	if err != nil {
		return err
	}
	err = r.Client.Create(ctx, release)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Release %s/%s: somebody else was quicker, or it lacks the label %s=%s: %w",
			release.Namespace, release.Name, v1alpha1.LabelPipeline, s.pipeline.Name, err)
	}
	if err != nil {
		return fmt.Errorf("create Release %s/%s: %w", release.Namespace, release.Name, err)
	}
	status.Event(r.Recorder, s.pipeline, status.Normal, "Released", fmt.Sprintf("Release %s of %s: %s", release.Name, found.Release.Tags(), found.Reason))
	s.releases = append(s.releases, *release)
	return nil
}

// newRelease writes a Release as an object, with where its images came from.
func (r *Reconciler) newRelease(s *scope, release environments.Release) (*v1alpha1.Release, error) {
	object := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.pipeline.Namespace, Name: release.Name,
			Labels: map[string]string{v1alpha1.LabelPipeline: s.pipeline.Name},
		},
		Spec: v1alpha1.ReleaseSpec{Pipeline: s.pipeline.Name, Sequence: release.Sequence},
	}
	for _, image := range release.Images {
		written := v1alpha1.ReleaseImage{ImageReference: convert.Reference(image)}
		if known, found := s.facts(image); found {
			written = known
		}
		key := s.pipeline.Namespace + "/" + s.pipeline.Name + " " + image.Repository
		if last, found := r.looks.last(key); found && last.artifact.Image == image {
			written.Revision, written.Source = revisionOf(last.artifact.Revision), sourceOf(last.artifact.Source)
			if !last.artifact.Created.IsZero() {
				written.Created = &metav1.Time{Time: last.artifact.Created}
			}
		}
		object.Spec.Images = append(object.Spec.Images, written)
	}
	if err := controllerutil.SetControllerReference(s.pipeline, object, r.Client.Scheme()); err != nil {
		return nil, fmt.Errorf("own Release %s: %w", object.Name, err)
	}
	return object, nil
}

// What an image says of itself is whatever its builder wrote, and comes into
// commits and pull requests: what is no revision and no address is left out.
var (
	revisionPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._/+-]{0,255}$`)
	sourcePattern   = regexp.MustCompile(`^(https?://|ssh://|git@)[0-9A-Za-z._~:/@%+-]{1,1000}$`)
)

func revisionOf(text string) string { return revisionPattern.FindString(text) }

func sourceOf(text string) string { return sourcePattern.FindString(text) }
