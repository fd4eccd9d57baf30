package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Listing is what a registry said about a repository.
type Listing struct {
	// Artifacts are the candidates. Semver, Numerical and Alphabetical read
	// only their tags; Digest reads the digest, NewestBuild also Created.
	Artifacts []Artifact
	// Partial says that the list broke off.
	Partial bool
}

// Choice is the answer of a policy.
type Choice struct {
	// Artifact is the one chosen; where Keep is set it is the current one,
	// which is the zero value where there is none.
	Artifact Artifact
	// Keep says that nothing is to be changed.
	Keep bool
	// Reason is one sentence for people: why this one, or why nothing changes.
	Reason string
}

// Select chooses from a listing. It never goes backwards: where the list is
// partial, the current tag was deleted and nothing newer is there, or the best
// candidate is older than current, it keeps current and says why. current is
// the zero value where nothing was chosen before.
func Select(policy Policy, current Artifact, listing Listing) (Choice, error) {
	c, err := policy.compile()
	if err != nil {
		return Choice{}, err
	}
	if listing.Partial {
		return keep(current, "the list of tags is incomplete, so a newer one may be missing from it"), nil
	}
	switch policy.Kind {
	case Digest:
		return c.follow(current, listing.Artifacts), nil
	case NewestBuild:
		return c.newest(current, listing.Artifacts), nil
	case Semver, Numerical, Alphabetical:
	}
	return c.highest(current, listing.Artifacts), nil
}

func keep(current Artifact, format string, args ...any) Choice {
	reason := fmt.Sprintf(format, args...)
	if current.Tag == "" && current.Digest == "" {
		return Choice{Keep: true, Reason: "nothing chosen: " + reason}
	}
	return Choice{Artifact: current, Keep: true, Reason: fmt.Sprintf("kept %s: %s", title(current), reason)}
}

// title names an artifact within its repository.
func title(a Artifact) string {
	switch {
	case a.Digest == "":
		return a.Tag
	case a.Tag == "":
		return a.Digest.Short()
	}
	return a.Tag + "@" + a.Digest.Short()
}

// highest chooses by the order of the tags' names.
func (c compiled) highest(current Artifact, candidates []Artifact) Choice {
	best, bestKey, matching := c.best(candidates)
	if matching == 0 {
		return keep(current, "none of %d tags matches the policy%s", len(candidates), c.describe())
	}
	if current.Tag == "" {
		return Choice{Artifact: best, Reason: fmt.Sprintf("%s is the newest of %d matching tags", best.Tag, matching)}
	}
	currentKey, known := c.key(current.Tag)
	if !known {
		return Choice{Artifact: best, Reason: fmt.Sprintf(
			"%s is the newest of %d matching tags; the policy cannot order the current tag %s", best.Tag, matching, current.Tag)}
	}
	switch order := c.compare(bestKey, currentKey); {
	case order > 0:
		return Choice{Artifact: best, Reason: fmt.Sprintf("%s is newer than %s", best.Tag, current.Tag)}
	case order == 0 && current.Digest == "":
		return Choice{Artifact: best, Reason: fmt.Sprintf("%s is current already, and is now pinned to its digest", best.Tag)}
	case order == 0:
		return keep(current, "it is the newest of %d matching tags", matching)
	case !slices.ContainsFunc(candidates, func(a Artifact) bool { return a.Tag == current.Tag }):
		return keep(current, "the tag is gone from the registry and %s, the newest left, is older", best.Tag)
	default:
		return keep(current, "%s, the newest that matches the policy%s, is older", best.Tag, c.describe())
	}
}

// best returns the newest matching candidate and how many match. Of equals
// (v1.0.0 and 1.0.0) the one that sorts last by name wins.
func (c compiled) best(candidates []Artifact) (best Artifact, bestKey key, matching int) {
	for _, candidate := range candidates {
		if _, ok := c.subject(candidate.Tag); !ok {
			continue
		}
		k, ok := c.key(candidate.Tag)
		if !ok || !c.inRange(k) {
			continue
		}
		matching++
		if matching > 1 {
			if order := c.compare(k, bestKey); order < 0 || (order == 0 && candidate.Tag <= best.Tag) {
				continue
			}
		}
		best, bestKey = candidate, k
	}
	return best, bestKey, matching
}

// describe says what the policy asks for, for the end of a reason.
func (c compiled) describe() string {
	if c.Range != "" {
		return " " + string(c.Kind) + " " + c.Range
	}
	return " " + string(c.Kind)
}

// follow chooses where the mutable tag points.
func (c compiled) follow(current Artifact, candidates []Artifact) Choice {
	at := slices.IndexFunc(candidates, func(a Artifact) bool { return a.Tag == c.Tag })
	switch {
	case at < 0:
		return keep(current, "the tag %s is not in the registry", c.Tag)
	case candidates[at].Digest == "":
		return keep(current, "the digest of tag %s is not known", c.Tag)
	case candidates[at].Digest == current.Digest:
		return keep(current, "the tag %s still names it", c.Tag)
	case current.Digest == "":
		return Choice{Artifact: candidates[at], Reason: fmt.Sprintf("the tag %s names %s", c.Tag, candidates[at].Digest.Short())}
	default:
		return Choice{Artifact: candidates[at], Reason: fmt.Sprintf(
			"the tag %s moved from %s to %s", c.Tag, current.Digest.Short(), candidates[at].Digest.Short())}
	}
}

// newest chooses by the time of build.
func (c compiled) newest(current Artifact, candidates []Artifact) Choice {
	matching := make([]Artifact, 0, len(candidates))
	undated := 0
	for _, candidate := range candidates {
		if _, ok := c.subject(candidate.Tag); !ok {
			continue
		}
		if !dated(candidate) {
			undated++
			continue
		}
		matching = append(matching, candidate)
	}
	if len(matching) == 0 {
		if undated > 0 {
			return keep(current, "none of the %d matching images says when it was created (a reproducible build?); use another policy", undated)
		}
		return keep(current, "none of %d tags matches the policy", len(candidates))
	}
	// The later name wins among tags of one build, so that the answer does not
	// depend on the registry's order.
	best := slices.MaxFunc(matching, func(a, b Artifact) int {
		if order := a.Created.Compare(b.Created); order != 0 {
			return order
		}
		return strings.Compare(a.Tag, b.Tag)
	})
	return judgeBuild(current, best, len(matching), candidates)
}

// judgeBuild says whether best may replace current.
func judgeBuild(current, best Artifact, matching int, candidates []Artifact) Choice {
	built := best.Created.UTC().Format(time.RFC3339)
	if current.Tag == "" && current.Digest == "" {
		return Choice{Artifact: best, Reason: fmt.Sprintf("%s, built %s, is the newest of %d matching images", title(best), built, matching)}
	}
	if current.Digest != "" && current.Digest == best.Digest {
		return keep(current, "it is the newest of %d matching images", matching)
	}
	if !dated(current) {
		at := slices.IndexFunc(candidates, func(a Artifact) bool {
			return dated(a) && (a.Digest == current.Digest || (current.Digest == "" && a.Tag == current.Tag))
		})
		if at < 0 {
			return keep(current, "its time of build is not known, so %s, built %s, may be older; promote that by hand if it is meant", title(best), built)
		}
		current.Created = candidates[at].Created
	}
	if !best.Created.After(current.Created) {
		return keep(current, "%s, the newest of %d matching images, was built %s, not after it", title(best), matching, built)
	}
	return Choice{Artifact: best, Reason: fmt.Sprintf(
		"%s was built %s, after %s of %s", title(best), built, title(current), current.Created.UTC().Format(time.RFC3339))}
}

// dated says whether the artifact carries a real time: reproducible builds
// write the Unix epoch or nothing.
func dated(a Artifact) bool { return a.Created.Unix() > 0 }
