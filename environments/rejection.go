package environments

import (
	"cmp"
	"slices"
)

// Rejection is what a rollback's commit says: these images failed in an
// Environment.
type Rejection struct {
	Environment, Reason string
	// Images are digests, or whole references where no digest was known.
	Images []string
}

// holds says whether an image is among the rejected ones.
func (r Rejection) holds(image Image) bool {
	return slices.Contains(r.Images, cmp.Or(string(image.Digest), image.String()))
}

// Withhold quarantines the Releases with an image that Git's history rejects and
// that no quarantine of their own bars: their objects were lost, and made anew.
func Withhold(releases []Release, rejections []Rejection, all []Environment) []Release {
	withheld := slices.Clone(releases)
	for i := range withheld {
		if withheld[i].Quarantine == nil {
			withheld[i].Quarantine = rejected(withheld[i], rejections, all)
		}
	}
	return withheld
}

// rejected is the quarantine that rejections put upon a Release; nil for none.
func rejected(release Release, rejections []Rejection, all []Environment) *Quarantine {
	var found *Quarantine
	for _, rejection := range rejections {
		var images []Image
		for _, image := range release.Images {
			if rejection.holds(image) {
				images = append(images, image)
			}
		}
		if len(images) > 0 {
			found = found.With(rejection.Environment, rejection.Reason, images, all)
		}
	}
	return found
}

// With is the quarantine after one more rejection; q is nil for the first. Of
// Environments where one comes after another only the first counts, since it
// bars the other too; one that is none of the Pipeline's gives way to one that
// is.
func (q *Quarantine) With(environment, reason string, images []Image, all []Environment) *Quarantine {
	if q == nil {
		return &Quarantine{Environment: environment, Reason: reason, Images: slices.Clone(images)}
	}
	next := &Quarantine{Environment: q.Environment, Reason: q.Reason, Images: slices.Clone(q.Images)}
	for _, image := range images {
		if !slices.Contains(next.Images, image) {
			next.Images = append(next.Images, image)
		}
	}
	isKnown := func(name string) bool {
		return slices.ContainsFunc(all, func(e Environment) bool { return e.Name == name })
	}
	if environment != q.Environment && (!isKnown(q.Environment) || slices.Contains(Ancestors(q.Environment, all), environment)) {
		next.Environment, next.Reason = environment, reason
	}
	for _, place := range append(slices.Clone(q.AlsoIn), environment) {
		if !isKnown(place) || next.in(Ancestors(place, all)) != "" {
			continue
		}
		next.AlsoIn = slices.DeleteFunc(next.AlsoIn, func(other string) bool { return slices.Contains(Ancestors(other, all), place) })
		next.AlsoIn = append(next.AlsoIn, place)
	}
	return next
}

// Places are the Environments that rejected the images.
func (q *Quarantine) Places() []string { return append([]string{q.Environment}, q.AlsoIn...) }

// in is the first of the places that is among these Environments; empty for none.
func (q *Quarantine) in(environments []string) string {
	for _, place := range q.Places() {
		if slices.Contains(environments, place) {
			return place
		}
	}
	return ""
}
