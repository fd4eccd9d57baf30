package environments

import (
	"fmt"
	"slices"
	"strings"
)

// expected returns the images that Git should have in an Environment after the
// Promotions into it, the newest first; false before anything was promoted.
func (d *pipelineDecision) expected(promotions []Promotion) ([]Image, Promotion, bool) {
	for _, promotion := range promotions {
		if promotion.Written.IsZero() {
			continue
		}
		if promotion.Phase == RolledBack {
			return promotion.Previous, promotion, true
		}
		release, known := d.release(promotion.Release)
		if !known {
			return nil, promotion, false
		}
		return release.Images, promotion, true
	}
	return nil, Promotion{}, false
}

// hold decides whether Git has what a person put there. Serin leaves it alone
// until there is a Release newer than all that were known at that time, or a
// person resumes.
func (d *pipelineDecision) hold(e EnvironmentSnapshot, promotions []Promotion) Hold {
	key := ContentKey(e.Images)
	if e.Hold.Accepted == key || d.resumed == e.Name {
		return Hold{Accepted: key}
	}
	images, last, known := d.expected(promotions)
	if !known || Carries(e.Images, images) {
		return Hold{}
	}
	if release, isRelease := d.current(e.Images); isRelease && d.followed(release, last, e.Environment) {
		// A person was faster: the Release is recorded by a Promotion that finds
		// nothing left to write.
		return Hold{}
	}
	held := Hold{Release: e.Hold.Release}
	if held.Release == "" && len(d.releases) > 0 {
		held.Release = d.releases[0].Name
	}
	held.Reason = fmt.Sprintf("a person changed Git to %s, and Promotion %s had left %s: held until there is a Release newer than %s, or \"serin resume\"",
		Describe(e.Images), last.Name, Describe(images), held.Release)
	return held
}

// followed says whether a person took a Release that Serin would have brought
// next: newer than the last, and not rejected.
func (d *pipelineDecision) followed(release Release, last Promotion, e Environment) bool {
	before, known := d.release(last.Release)
	if !known || release.Sequence <= before.Sequence {
		return false
	}
	return Barred(release, e.Name, d.snapshot.Releases, d.environments()) == ""
}

// Describe names images for people.
func Describe(images []Image) string {
	if len(images) == 0 {
		return "no image"
	}
	names := make([]string, 0, len(images))
	for _, image := range images {
		names = append(names, image.Short())
	}
	return strings.Join(names, ", ")
}

// carryOut plans what a person asked for.
func (d *pipelineDecision) carryOut(request Request) {
	if request.Token == "" {
		return
	}
	at := slices.IndexFunc(d.snapshot.Environments, func(e EnvironmentSnapshot) bool { return e.Name == request.Environment })
	d.plan.Handled = request.Token
	if at < 0 {
		d.plan.Refused = fmt.Sprintf("request %q: there is no environment %q in this Pipeline", request.Token, request.Environment)
		return
	}
	promotions := into(d.snapshot.Promotions, request.Environment)
	if slices.ContainsFunc(promotions, func(p Promotion) bool { return p.Request == request.Token }) {
		return
	}
	switch request.Verb {
	case Resume:
		d.resumed = request.Environment
	case Retry:
		d.retry(request, promotions)
	case Promote:
		release, known := d.release(request.Release)
		if !known {
			d.plan.Refused = fmt.Sprintf("request %q: there is no Release %q of this Pipeline", request.Token, request.Release)
			return
		}
		d.force(request, release, promotions)
	case Approve, Reject:
		d.plan.Refused = fmt.Sprintf("request %q: write it on the Promotion", request.Token)
	default:
		d.plan.Refused = fmt.Sprintf("request %q is unknown", request.Token)
	}
}

// retry plans another attempt of what failed or was rejected last.
func (d *pipelineDecision) retry(request Request, promotions []Promotion) {
	for _, promotion := range promotions {
		switch promotion.Phase {
		case Failed, RolledBack, Rejected:
			if release, known := d.release(promotion.Release); known {
				d.force(request, release, promotions)
				return
			}
		default:
		}
	}
	d.plan.Refused = fmt.Sprintf("request %q: no Promotion into %s failed or was rejected", request.Token, request.Environment)
}

// force plans a Promotion that a person asked for.
func (d *pipelineDecision) force(request Request, release Release, promotions []Promotion) {
	if active := firstActive(promotions); active != nil && !active.Phase.Proposed() {
		d.plan.Refused = fmt.Sprintf("request %q: Promotion %s is under way; ask again when it has ended", request.Token, active.Name)
		return
	}
	if request.By == "" {
		request.By = "a person"
	}
	d.create(request.Environment, release, promotions, request)
	d.plan.Reason = fmt.Sprintf("%s asked for Release %s in %s", request.By, release.Name, request.Environment)
}

// unneeded are Releases beyond the history's limit that no Environment has, that
// no Promotion is bringing, that are not quarantined and not the newest.
func (d *pipelineDecision) unneeded() []string {
	needed := map[string]bool{}
	for _, e := range d.snapshot.Environments {
		if !e.GitKnown {
			return nil
		}
		promotions := into(d.snapshot.Promotions, e.Name)
		if current, known := d.current(e.Images); known {
			needed[current.Name] = true
		}
		if _, last, known := d.expected(promotions); known {
			needed[last.Release] = true
		}
		for _, promotion := range promotions {
			if !promotion.Phase.Ended() {
				needed[promotion.Release] = true
			}
		}
		needed[e.Hold.Release] = true
	}
	var names []string
	kept := 0
	for i, release := range d.releases {
		if i == 0 || needed[release.Name] || release.Quarantine != nil {
			continue
		}
		if kept++; kept > d.snapshot.HistoryLimit {
			names = append(names, release.Name)
		}
	}
	return names
}
