package environments

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Release is one immutable set of images.
type Release struct {
	Name string
	// Sequence orders the Releases of a Pipeline; newer is higher.
	Sequence int64
	Images   []Image
	// Quarantine is nil while nothing has rejected the Release.
	Quarantine *Quarantine
}

// Quarantine says which images were rejected, where and why.
type Quarantine struct {
	Environment string
	// AlsoIn are Environments that rejected them too and neither come after it
	// nor after each other, such as the regions of one wave.
	AlsoIn []string
	Images []Image
	// Reason is that of Environment.
	Reason string
}

// Tags names the Release for people: its images' tags, or the beginning of the
// digest where there is no tag.
func (r Release) Tags() string {
	tags := make([]string, 0, len(r.Images))
	for _, image := range r.Images {
		tag := image.Tag
		if tag == "" {
			tag = image.Digest.Short()
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, ", ")
}

// Pinned says whether have is want down to the digest: a tag alone does not
// pin an image whose digest is known, since the tag may move.
func Pinned(have, want Image) bool {
	return have.Same(want) && (want.Digest == "" || have.Digest == want.Digest)
}

// Carries says whether have holds every image of want, by digest where known.
func Carries(have, want []Image) bool {
	for _, image := range want {
		if !slices.ContainsFunc(have, func(h Image) bool { return Pinned(h, image) }) {
			return false
		}
	}
	return len(want) > 0
}

// Changed returns the images of want that have does not carry.
func Changed(have, want []Image) []Image {
	var changed []Image
	for _, image := range want {
		if !Carries(have, []Image{image}) {
			changed = append(changed, image)
		}
	}
	return changed
}

// Find returns the image of a repository.
func Find(images []Image, repository string) (Image, bool) {
	at := slices.IndexFunc(images, func(i Image) bool { return i.Repository == repository })
	if at < 0 {
		return Image{}, false
	}
	return images[at], true
}

// Lengths of names: a Release's name is a label's value, of 63 characters at
// most, and hashLength hexadecimal digits tell sets of images apart.
const (
	maxLabel   = 63
	hashLength = 10
)

// ReleaseName is the name of the Release of these images. It depends on nothing
// else, so that a Release is made once however often it is tried: the
// Pipeline's name, the first image's tag where it fits, and a hash of both. The
// Pipeline is in the hash for the names of Promotions: "shop" into "eu-prod" and
// "shop-eu" into "prod" would be called the same.
func ReleaseName(pipeline string, images []Image) string {
	sum := sha256.Sum256([]byte(pipeline + "\n" + ContentKey(images)))
	hash := hex.EncodeToString(sum[:])[:hashLength]
	if len(images) == 0 {
		return pipeline + "-" + hash
	}
	tag := nameable(images[0].Tag)
	room := maxLabel - len(pipeline) - len(hash) - 2
	tag = strings.Trim(tag[:max(0, min(len(tag), room))], "-")
	if tag == "" {
		return pipeline + "-" + hash
	}
	return pipeline + "-" + tag + "-" + hash
}

// ContentKey is a hash of a set of images; their order does not matter.
func ContentKey(images []Image) string {
	refs := make([]string, 0, len(images))
	for _, image := range images {
		refs = append(refs, image.String())
	}
	slices.Sort(refs)
	sum := sha256.Sum256([]byte(strings.Join(refs, "\n")))
	return hex.EncodeToString(sum[:])
}

// nameable turns a tag into what an object's name may hold.
func nameable(tag string) string {
	mapped := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, strings.ToLower(tag))
	return strings.Trim(mapped, "-")
}

// Discovered is the outcome of a look at the registries.
type Discovered struct {
	// Release to create; nil where there is nothing new.
	Release *Release
	// Reason is for people.
	Reason string
}

// Discover decides whether the images chosen make a new Release. Every image of
// the Pipeline must have been chosen; a set that was released before, even long
// ago, is not released again, so a tag list that shrinks never goes back.
func Discover(pipeline string, chosen []Image, known []Release) Discovered {
	for _, image := range chosen {
		if image.Digest == "" && image.Tag == "" {
			return Discovered{Reason: fmt.Sprintf("no image of %s has been found yet", image.Repository)}
		}
	}
	if len(chosen) == 0 {
		return Discovered{Reason: "no image has been found yet"}
	}
	name := ReleaseName(pipeline, chosen)
	highest := int64(0)
	for _, release := range known {
		highest = max(highest, release.Sequence)
		if release.Name == name || Carries(release.Images, chosen) && len(release.Images) == len(chosen) {
			return Discovered{Reason: fmt.Sprintf("Release %s has these images", release.Name)}
		}
	}
	return Discovered{
		Release: &Release{Name: name, Sequence: highest + 1, Images: slices.Clone(chosen)},
		Reason:  "new images were chosen",
	}
}

// newestFirst sorts Releases by their sequence, the highest first.
func newestFirst(releases []Release) []Release {
	sorted := slices.Clone(releases)
	slices.SortFunc(sorted, func(a, b Release) int {
		return cmp.Or(cmp.Compare(b.Sequence, a.Sequence), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}
