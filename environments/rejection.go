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
		for _, image := range release.Images {
			if !rejection.holds(image) {
				continue
			}
			if found == nil {
				found = &Quarantine{Environment: rejection.Environment, Reason: rejection.Reason}
			}
			if where := BarsMore(rejection.Environment, found.Environment, all); where != found.Environment {
				found.Environment, found.Reason = where, rejection.Reason
			}
			if !slices.Contains(found.Images, image) {
				found.Images = append(found.Images, image)
			}
		}
	}
	return found
}

// BarsMore is the one of two Environments whose rejection bars more: the one that
// comes before the other; before where neither does, unless it is none of the
// Pipeline's.
func BarsMore(environment, before string, all []Environment) string {
	known := slices.ContainsFunc(all, func(e Environment) bool { return e.Name == before })
	if !known || slices.Contains(Ancestors(before, all), environment) {
		return environment
	}
	return before
}
