package registry

import (
	"math/big"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// decimal is what Numerical takes for a number: big.Rat reads exponents and
// fractions as well, whose size in memory has no bound.
var decimal = regexp.MustCompile(`^-?[0-9]{1,128}(\.[0-9]{1,128})?$`)

// key is a tag's place in its policy's order: the field of its kind is set.
type key struct {
	version *semver.Version
	number  *big.Rat
	text    string
}

// key reads the place of a tag that may be outside of the filters and range;
// false where the tag has none.
func (c compiled) key(tag string) (key, bool) {
	text, ok := c.extracted(tag)
	if !ok {
		if c.Extract != "" {
			return key{}, false
		}
		text = tag
	}
	switch c.Kind {
	case Semver:
		// Strict, so that a date tag such as 20260101 is not version 20260101.0.0.
		version, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
		return key{version: version}, err == nil
	case Numerical:
		if !decimal.MatchString(text) {
			return key{}, false
		}
		number, ok := new(big.Rat).SetString(text)
		return key{number: number}, ok
	case Alphabetical:
		return key{text: text}, text != ""
	case NewestBuild, Digest:
	}
	return key{}, false
}

// inRange says whether the key is within the policy's range.
func (c compiled) inRange(k key) bool {
	return c.constraint == nil || c.constraint.Check(k.version)
}

// compare is negative where a is older than b, positive where it is newer.
func (c compiled) compare(a, b key) int {
	var order int
	switch c.Kind {
	case Semver:
		order = a.version.Compare(b.version)
	case Numerical:
		order = a.number.Cmp(b.number)
	case Alphabetical:
		order = strings.Compare(a.text, b.text)
	case NewestBuild, Digest:
	}
	if c.Order == Descending {
		return -order
	}
	return order
}
