package registry

import (
	"fmt"
	"regexp"

	"github.com/Masterminds/semver/v3"
)

// Kind says how a Policy orders the tags of a repository.
type Kind string

// The kinds of policy.
const (
	// Semver takes the highest semantic version within Range.
	Semver Kind = "Semver"
	// Numerical takes the highest number (Descending: the lowest).
	Numerical Kind = "Numerical"
	// Alphabetical takes the last tag by Unicode code points (Descending: the
	// first).
	Alphabetical Kind = "Alphabetical"
	// NewestBuild takes the image that says it was created last.
	NewestBuild Kind = "NewestBuild"
	// Digest follows one mutable tag wherever it points.
	Digest Kind = "Digest"
)

// Order says at which end of the order the newest tag stands.
type Order string

// The orders; the empty Order is Ascending.
const (
	Ascending  Order = "Ascending"
	Descending Order = "Descending"
)

// maxPattern bounds regular expressions, in bytes.
const maxPattern = 1024

// Policy chooses one tag of a repository.
type Policy struct {
	Kind Kind
	// Range is a constraint as github.com/Masterminds/semver reads it, such as
	// ">=1.2.0 <2.0.0"; empty is every release. Pre-releases count only where
	// the range names one (">=1.0.0-0"). Kind Semver only.
	Range string
	// Order is for Numerical and Alphabetical.
	Order Order
	// Tag is the mutable tag that Kind Digest follows.
	Tag string
	// Include are regular expressions of which a tag must match one; empty
	// takes every tag. Exclude wins over Include.
	Include, Exclude []string
	// Extract is a template over the groups of the first Include expression
	// that matches ("$version", "${1}"); its result is ordered in place of the
	// whole tag.
	Extract string
}

// signatureTag is how cosign and the OCI referrers fallback store signatures
// and attestations: tags that are no images, and must never be chosen.
var signatureTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\..+)?$`)

// Validate says what is wrong with the policy, naming the field.
func (p Policy) Validate() error {
	_, err := p.compile()
	return err
}

// compiled is a Policy made ready.
type compiled struct {
	Policy
	include, exclude []*regexp.Regexp
	constraint       *semver.Constraints
}

func (p Policy) compile() (compiled, error) {
	c := compiled{Policy: p}
	if err := p.checkFields(); err != nil {
		return c, err
	}
	var err error
	if c.include, err = compileAll("include", p.Include); err != nil {
		return c, err
	}
	if c.exclude, err = compileAll("exclude", p.Exclude); err != nil {
		return c, err
	}
	if p.Kind != Semver {
		return c, nil
	}
	constraint := p.Range
	if constraint == "" {
		constraint = "*"
	}
	if c.constraint, err = semver.NewConstraint(constraint); err != nil {
		return c, fmt.Errorf("policy Semver: range %q: %w; write it like \">=1.2.0 <2.0.0\"", p.Range, err)
	}
	return c, nil
}

// checkFields says which field does not go with the kind.
func (p Policy) checkFields() error {
	switch p.Kind {
	case Semver, Numerical, Alphabetical, NewestBuild, Digest:
	default:
		return fmt.Errorf("policy: kind %q is unknown; use Semver, Numerical, Alphabetical, NewestBuild or Digest", p.Kind)
	}
	switch p.Order {
	case "", Ascending, Descending:
	default:
		return fmt.Errorf("policy %s: order %q is unknown; use Ascending or Descending", p.Kind, p.Order)
	}
	switch {
	case p.Range != "" && p.Kind != Semver:
		return fmt.Errorf("policy %s: range %q is for Semver only; remove it", p.Kind, p.Range)
	case p.Order == Descending && p.Kind != Numerical && p.Kind != Alphabetical:
		return fmt.Errorf("policy %s: order Descending is for Numerical and Alphabetical only; remove it", p.Kind)
	case p.Kind == Digest && p.Tag == "":
		return fmt.Errorf("policy Digest: tag is empty; name the tag to follow, such as \"latest\"")
	case p.Kind != Digest && p.Tag != "":
		return fmt.Errorf("policy %s: tag %q is for Digest only; remove it", p.Kind, p.Tag)
	case p.Extract != "" && len(p.Include) == 0:
		return fmt.Errorf("policy %s: extract %q has no include expression to take groups from; add one", p.Kind, p.Extract)
	case p.Extract != "" && (p.Kind == NewestBuild || p.Kind == Digest):
		return fmt.Errorf("policy %s: extract %q changes nothing, as tags are not ordered by name; remove it", p.Kind, p.Extract)
	}
	return nil
}

func compileAll(field string, patterns []string) ([]*regexp.Regexp, error) {
	all := make([]*regexp.Regexp, 0, len(patterns))
	for _, pattern := range patterns {
		if len(pattern) > maxPattern {
			return nil, fmt.Errorf("policy: %s expression of %d bytes; at most %d are allowed", field, len(pattern), maxPattern)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("policy: %s %q: %w; the syntax is https://golang.org/s/re2syntax", field, pattern, err)
		}
		all = append(all, re)
	}
	return all, nil
}

// Filter returns the tags that the policy may choose from by their names
// alone, in the given order.
func (p Policy) Filter(tags []string) ([]string, error) {
	c, err := p.compile()
	if err != nil {
		return nil, err
	}
	var kept []string
	for _, tag := range tags {
		if _, ok := c.subject(tag); !ok {
			continue
		}
		if p.Kind != NewestBuild && p.Kind != Digest {
			if k, ok := c.key(tag); !ok || !c.inRange(k) {
				continue
			}
		}
		kept = append(kept, tag)
	}
	return kept, nil
}

// subject applies the filters: what of the tag is to be ordered, and whether
// the tag may be chosen.
func (c compiled) subject(tag string) (string, bool) {
	if signatureTag.MatchString(tag) || (c.Kind == Digest && tag != c.Tag) {
		return "", false
	}
	for _, re := range c.exclude {
		if re.MatchString(tag) {
			return "", false
		}
	}
	return c.extracted(tag)
}

// extracted is the part of a tag that is ordered, with no regard to Exclude.
func (c compiled) extracted(tag string) (string, bool) {
	if len(c.include) == 0 {
		return tag, true
	}
	for _, re := range c.include {
		groups := re.FindStringSubmatchIndex(tag)
		if groups == nil {
			continue
		}
		if c.Extract == "" {
			return tag, true
		}
		return string(re.ExpandString(nil, c.Extract, tag, groups)), true
	}
	return "", false
}
