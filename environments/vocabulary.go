// Package environments is the vocabulary of Serin and its pure decisions: what
// to promote where, and when. It imports the standard library and pure
// libraries only, takes no client and reads no clock.
package environments

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Digest is the content address of an image, "sha256:" and 64 hexadecimal
// digits. The empty Digest means that it is not known.
type Digest string

// Short is the digest for people: the algorithm's name left out, 12 digits.
func (d Digest) Short() string {
	_, hex, found := strings.Cut(string(d), ":")
	if !found {
		hex = string(d)
	}
	return hex[:min(len(hex), 12)]
}

// Image is one image reference: where it is kept, and which one it is.
type Image struct {
	// Repository is the name without tag and digest, such as
	// "ghcr.io/acme/web".
	Repository string `json:"repository"`
	// Tag is what a person calls it; it may move.
	Tag string `json:"tag,omitempty"`
	// Digest is what runs; it never moves.
	Digest Digest `json:"digest,omitempty"`
}

// String is the reference as a container runtime takes it:
// repository:tag@digest.
func (i Image) String() string {
	s := i.Repository
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + string(i.Digest)
	}
	return s
}

// Short is the reference for people: the repository's last element, the tag,
// and 12 digits of the digest, such as "web:v1.2.0@00c6b3add55a".
func (i Image) Short() string {
	s := path.Base(i.Repository)
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + i.Digest.Short()
	}
	return s
}

// ShortReference is Short of an image reference; a text that is none stays as
// it is.
func ShortReference(reference string) string {
	image, err := ParseImage(reference)
	if err != nil {
		return reference
	}
	return image.Short()
}

// Same says whether both name the same content: the same repository and, where
// both digests are known, the same digest, else the same tag.
func (i Image) Same(o Image) bool {
	if i.Repository != o.Repository {
		return false
	}
	if i.Digest != "" && o.Digest != "" {
		return i.Digest == o.Digest
	}
	return i.Tag == o.Tag && i.Tag != ""
}

// ParseImage reads repository[:tag][@digest].
func ParseImage(ref string) (Image, error) {
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest && !strings.Contains(digest, ":") {
		return Image{}, fmt.Errorf("image %q: the digest %q has no algorithm, write sha256:<64 hexadecimal digits>", ref, digest)
	}
	image := Image{Repository: rest, Digest: Digest(digest)}
	if colon := strings.LastIndex(rest, ":"); colon > strings.LastIndex(rest, "/") {
		image.Repository, image.Tag = rest[:colon], rest[colon+1:]
	}
	if image.Repository == "" {
		return Image{}, fmt.Errorf("image %q: no repository", ref)
	}
	return image, nil
}

// Weight is a share of traffic in percent, 0 to 100.
type Weight int32

// String writes the weight with its percent sign.
func (w Weight) String() string { return fmt.Sprintf("%d%%", int32(w)) }

// Span writes a duration as people and manifests do, without the parts that are
// nought: 1h30m, 5m, 1.5s.
func Span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Trailers of Serin's commits. They carry the promotion, so that it survives
// the loss of the cluster.
const (
	TrailerPipeline    = "Serin-Pipeline"
	TrailerEnvironment = "Serin-Environment"
	TrailerRelease     = "Serin-Release"
	TrailerPromotion   = "Serin-Promotion"
	TrailerRejected    = "Serin-Rejected"
	TrailerReason      = "Serin-Reason"
)
