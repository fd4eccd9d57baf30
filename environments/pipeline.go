package environments

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// PipelineSnapshot is what a Pipeline's decision rests on.
type PipelineSnapshot struct {
	Name string
	// Suspended starts nothing new.
	Suspended    bool
	Environments []EnvironmentSnapshot
	Releases     []Release
	Promotions   []Promotion
	// Request of a person that has not been carried out yet; the zero value
	// where there is none.
	Request Request
	// HistoryLimit is how many Releases that are not needed are kept.
	HistoryLimit int
}

// EnvironmentSnapshot is one Environment as it is.
type EnvironmentSnapshot struct {
	Environment
	// GitKnown says whether Images were read; nothing is decided without.
	GitKnown bool
	// Images that Git has here, of the Pipeline's repositories.
	Images []Image
	// Hold as it was reported last.
	Hold Hold
}

// Hold says that a person's change in Git is respected.
type Hold struct {
	// Reason for people; empty where the Environment is not held.
	Reason string
	// Release is the newest one there was when it was held.
	Release string
	// Accepted is the ContentKey of the images for which a person ended the
	// hold.
	Accepted string
}

// PipelinePlan is what a Pipeline does next: at most one mutation, and what is
// to be reported.
type PipelinePlan struct {
	// Create a Promotion; nil for none.
	Create *Promotion
	// Delete these Releases, which are needed nowhere; only where nothing is to
	// be created.
	Delete []string
	// Handled is the token of the request that is carried out by this plan.
	Handled string
	// Refused says why the request cannot be carried out.
	Refused      string
	Environments []EnvironmentReport
	// Reason for Create, for people.
	Reason string
	// Again is when time alone may change the decision; zero for never.
	Again time.Time
}

// EnvironmentReport is one Environment for people.
type EnvironmentReport struct {
	Name string
	// Release that Git has, where it is one.
	Release string
	// Promotion under way, or the newest, and its phase.
	Promotion string
	Phase     Phase
	Hold      Hold
	// Waiting says what the newest Release waits for.
	Waiting string
	Images  []Image
}

// DecidePipeline decides which Promotion a Pipeline starts next. For each
// Environment in order it takes the newest Release that may enter; the first
// Environment that needs one gets its Promotion, the others get theirs in the
// decisions that follow.
func DecidePipeline(s PipelineSnapshot, now time.Time) PipelinePlan {
	d := pipelineDecision{snapshot: s, now: now, releases: newestFirst(s.Releases)}
	d.carryOut(s.Request)
	for _, environment := range s.Environments {
		d.plan.Environments = append(d.plan.Environments, d.decide(environment))
	}
	if d.plan.Create == nil {
		d.plan.Delete = d.unneeded()
	}
	return d.plan
}

// pipelineDecision gathers a plan.
type pipelineDecision struct {
	snapshot PipelineSnapshot
	now      time.Time
	// releases, the newest first.
	releases []Release
	plan     PipelinePlan
	// resumed is the Environment whose hold a person ended just now.
	resumed string
}

// decide looks at one Environment, adds a Promotion to the plan where one is
// due, and reports.
func (d *pipelineDecision) decide(e EnvironmentSnapshot) EnvironmentReport {
	promotions := into(d.snapshot.Promotions, e.Name)
	report := EnvironmentReport{Name: e.Name, Images: e.Images, Hold: e.Hold}
	if len(promotions) > 0 {
		report.Promotion, report.Phase = promotions[0].Name, promotions[0].Phase
	}
	if !e.GitKnown {
		report.Waiting = "Git could not be read"
		return report
	}
	current, isRelease := d.current(e.Images)
	if isRelease {
		report.Release = current.Name
	}
	active := firstActive(promotions)
	report.Hold = Hold{}
	if active == nil {
		report.Hold = d.hold(e, promotions)
	}
	candidate, waiting := d.candidate(e.Environment, promotions, d.floor(current, report.Hold, promotions))
	if candidate == nil && isRelease && active == nil && report.Hold.Reason == "" && d.unrecorded(e, promotions, current) {
		candidate = &current
	}
	report.Waiting = waiting
	if candidate == nil {
		return report
	}
	report.Waiting = d.busy(e.Environment, active, *candidate)
	if d.snapshot.Suspended {
		report.Waiting = fmt.Sprintf("Release %s: the Pipeline is suspended (spec.suspend)", candidate.Name)
	}
	if report.Waiting != "" || d.plan.Create != nil {
		return report
	}
	// A hold is reported until the Promotion is there: were it forgotten before,
	// and the Promotion not made, it would begin anew with the newest Release.
	d.create(e.Name, *candidate, promotions, Request{})
	d.plan.Reason = fmt.Sprintf("Release %s (%s) is the newest that may enter %s", candidate.Name, candidate.Tags(), e.Name)
	return report
}

// floor is the sequence that a Release must be above to enter: what Git has,
// what was there when the Environment was held, and what has run well there
// before, so that nothing goes back and a person's return to an older Release
// stays. After a person's resume only what Git has counts.
func (d *pipelineDecision) floor(current Release, hold Hold, promotions []Promotion) int64 {
	floor := current.Sequence
	if hold.Accepted != "" {
		return floor
	}
	if held, known := d.release(hold.Release); known {
		floor = max(floor, held.Sequence)
	}
	for _, promotion := range promotions {
		if release, known := d.release(promotion.Release); known && promotion.Phase == Succeeded {
			floor = max(floor, release.Sequence)
		}
	}
	return floor
}

// unrecorded says whether Git has a Release that no Promotion brought: it was
// there before Serin, or a person was faster. A Promotion that finds nothing to
// write records whether it runs well.
func (d *pipelineDecision) unrecorded(e EnvironmentSnapshot, promotions []Promotion, current Release) bool {
	images, _, known := d.expected(promotions)
	if known && Carries(e.Images, images) {
		return false
	}
	return Barred(current, e.Name, d.snapshot.Releases, d.environments()) == ""
}

// create plans the next attempt.
func (d *pipelineDecision) create(environment string, release Release, promotions []Promotion, request Request) {
	attempt, number := int32(1), int64(1)
	for _, promotion := range promotions {
		number = max(number, promotion.Number+1)
		if promotion.Release == release.Name {
			attempt = max(attempt, promotion.Attempt+1)
		}
	}
	d.plan.Create = &Promotion{
		Name:        PromotionName(d.snapshot.Name, environment, release.Name, attempt),
		Environment: environment, Release: release.Name, Attempt: attempt, Number: number,
		RequestedBy: person(request.By), Request: request.Token,
	}
}

// candidate is the newest Release above floor that may enter, or why the newest
// one may not.
func (d *pipelineDecision) candidate(e Environment, promotions []Promotion, floor int64) (*Release, string) {
	waiting := ""
	for _, release := range d.releases {
		if release.Sequence <= floor {
			break
		}
		last := lastOf(promotions, release.Name)
		if last != nil && !last.Phase.Ended() {
			return nil, waiting
		}
		reason := d.barred(e, release, last)
		if reason == "" {
			return &release, ""
		}
		if waiting == "" {
			waiting = fmt.Sprintf("Release %s: %s", release.Name, reason)
		}
	}
	return nil, waiting
}

// barred says why a Release may not enter; empty where it may.
func (d *pipelineDecision) barred(e Environment, release Release, last *Promotion) string {
	if reason := Barred(release, e.Name, d.snapshot.Releases, d.environments()); reason != "" {
		return reason
	}
	if last != nil {
		switch last.Phase {
		case Rejected:
			return fmt.Sprintf("rejected here (%s); \"serin retry\" tries it again", last.Name)
		case Failed, RolledBack:
			return fmt.Sprintf("failed here (%s); \"serin retry\" tries it again", last.Name)
		default:
		}
	}
	for _, before := range e.After {
		if reason := d.unproven(release, before, e.Soak); reason != "" {
			return reason
		}
	}
	return ""
}

// unproven says what a Release lacks in an Environment before.
func (d *pipelineDecision) unproven(release Release, before string, soak time.Duration) string {
	promotions := into(d.snapshot.Promotions, before)
	at := slices.IndexFunc(promotions, func(p Promotion) bool {
		return p.Release == release.Name && p.Phase == Succeeded && !p.Succeeded.IsZero()
	})
	if at < 0 {
		return fmt.Sprintf("has not succeeded in %s yet", before)
	}
	// It ran until the next one was written there.
	end := d.now
	for _, later := range promotions[:at] {
		if !later.Written.IsZero() && later.Written.Before(end) {
			end = later.Written
		}
	}
	if reason := d.gone(release, before); reason != "" && soak > 0 && end.Equal(d.now) {
		return reason
	}
	ran := max(0, end.Sub(promotions[at].Succeeded))
	if ran >= soak {
		return ""
	}
	if end.Before(d.now) {
		return fmt.Sprintf("ran in %s for %s only, and a soak of %s is asked for", before, ran.Round(time.Second), soak)
	}
	ready := d.now.Add(soak - ran)
	d.again(ready)
	return fmt.Sprintf("soaks in %s until %s", before, ready.UTC().Format(time.RFC3339))
}

// gone says that an Environment does not have a Release any more, though nothing
// was promoted after it: a person changed Git, nobody knows when.
func (d *pipelineDecision) gone(release Release, before string) string {
	at := slices.IndexFunc(d.snapshot.Environments, func(e EnvironmentSnapshot) bool { return e.Name == before })
	switch {
	case at < 0 || Carries(d.snapshot.Environments[at].Images, release.Images):
		return ""
	case !d.snapshot.Environments[at].GitKnown:
		return fmt.Sprintf("soaks in %s, whose overlay could not be read", before)
	}
	return fmt.Sprintf("a person took it out of %s, which ended its soak; \"serin promote\" brings it all the same", before)
}

// busy says why a candidate has to wait for another Promotion.
func (d *pipelineDecision) busy(e Environment, active *Promotion, candidate Release) string {
	if active == nil {
		return ""
	}
	waitsForPerson := active.Phase == RollingBack && active.Proposal != nil && active.Proposal.Restores
	if !active.Phase.Proposed() && !waitsForPerson {
		return fmt.Sprintf("Release %s: waits for Promotion %s to end", candidate.Name, active.Name)
	}
	if active.Phase != AwaitingApproval {
		return ""
	}
	// An open pull request is not taken back by a Release that may not be
	// proposed in its place yet.
	until, reason, err := Frozen(e.Freeze, d.now)
	if err != nil {
		return err.Error()
	}
	if until.IsZero() {
		return ""
	}
	d.again(until)
	return fmt.Sprintf("Release %s: %s", candidate.Name, FrozenText(until, reason))
}

// FrozenText says for people until when nothing is promoted, and why.
func FrozenText(until time.Time, reason string) string {
	text := "frozen until " + until.UTC().Format(time.RFC3339)
	if reason != "" {
		text += " (" + reason + ")"
	}
	return text
}

// current is the newest Release whose images Git has.
func (d *pipelineDecision) current(images []Image) (Release, bool) {
	for _, release := range d.releases {
		if Carries(images, release.Images) {
			return release, true
		}
	}
	return Release{}, false
}

func (d *pipelineDecision) release(name string) (Release, bool) {
	at := slices.IndexFunc(d.releases, func(r Release) bool { return r.Name == name })
	if at < 0 {
		return Release{}, false
	}
	return d.releases[at], true
}

func (d *pipelineDecision) environments() []Environment {
	all := make([]Environment, 0, len(d.snapshot.Environments))
	for _, e := range d.snapshot.Environments {
		all = append(all, e.Environment)
	}
	return all
}

// again notes a moment at which to decide anew.
func (d *pipelineDecision) again(at time.Time) {
	if d.plan.Again.IsZero() || at.Before(d.plan.Again) {
		d.plan.Again = at
	}
}

// firstActive returns the newest Promotion that has not ended.
func firstActive(promotions []Promotion) *Promotion {
	at := slices.IndexFunc(promotions, func(p Promotion) bool { return !p.Phase.Ended() })
	if at < 0 {
		return nil
	}
	return &promotions[at]
}

// lastOf returns the newest Promotion of a Release.
func lastOf(promotions []Promotion, release string) *Promotion {
	at := slices.IndexFunc(promotions, func(p Promotion) bool { return p.Release == release })
	if at < 0 {
		return nil
	}
	return &promotions[at]
}

// Ancestors returns an Environment and all those before it, over every After.
func Ancestors(environment string, all []Environment) []string {
	found := []string{environment}
	for i := 0; i < len(found); i++ {
		at := slices.IndexFunc(all, func(e Environment) bool { return e.Name == found[i] })
		if at < 0 {
			continue
		}
		for _, before := range all[at].After {
			if !slices.Contains(found, before) {
				found = append(found, before)
			}
		}
	}
	return found
}

// RejectedImages are the images that an Environment may not take: rejected in
// it or in one before it, whatever Release they come in.
func RejectedImages(environment string, releases []Release, all []Environment) []Image {
	ancestors := Ancestors(environment, all)
	var rejected []Image
	for _, release := range newestFirst(releases) {
		if q := release.Quarantine; q != nil && q.in(ancestors) != "" {
			rejected = append(rejected, q.Images...)
		}
	}
	return rejected
}

// Barred says why a Release may not enter an Environment without a person's
// word: one of its images was rejected there or before. It is empty where the
// Release may enter.
func Barred(release Release, environment string, releases []Release, all []Environment) string {
	rejected := RejectedImages(environment, releases, all)
	for _, image := range release.Images {
		if slices.ContainsFunc(rejected, func(r Image) bool { return Pinned(image, r) }) {
			where := environment
			if q := release.Quarantine; q != nil {
				where = cmp.Or(q.in(Ancestors(environment, all)), q.Environment)
			}
			return fmt.Sprintf("quarantined: %s was rejected in %s", image.Short(), where)
		}
	}
	return ""
}
