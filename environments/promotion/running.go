package promotion

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// running watches the workloads of a Release that Git has.
func (s Snapshot) running(now time.Time) Plan {
	if s.Git.Known && !environments.Carries(s.Git.Images, s.Release.Images) {
		return s.closing(s.enter(environments.Superseded, now, "a person changed Git to %s while it was rolled out", environments.Describe(s.Git.Images)))
	}
	if s.Request.Verb == environments.Reject {
		// Git has it, so a person's no is a failure like any other.
		plan := s.fail(now, s.rejection())
		plan.Record.Handled = s.Request.Token
		return plan
	}
	if plan, found := s.merged("Git has " + s.Release.Tags()); found {
		return plan
	}
	if s.Workloads == nil {
		return s.keep(s.Promotion.Message)
	}
	var evidence []string
	stopped := false
	for _, workload := range s.Workloads {
		evidence = append(evidence, workload.Evidence...)
		stopped = stopped || workload.Stopped
	}
	s.Promotion.Evidence = evidence
	stopped = stopped || s.Suspended != "" && len(s.inState(WorkloadStale)) > 0
	s.tick(stopped, now)
	if failed := s.inState(WorkloadFailed); len(failed) > 0 {
		return s.fail(now, describeWorkloads(failed))
	}
	limit := s.Environment.Deadline
	// What runs in the end has not failed: nobody may have looked in time.
	late := limit > 0 && s.Promotion.Elapsed(now) >= limit
	if late && len(s.inState(WorkloadStale))+len(s.inState(WorkloadRolling)) > 0 {
		return s.fail(now, fmt.Sprintf("it does not run after %s (deadline): %s", environments.Span(limit), s.unfinished()))
	}
	plan := s.progress(now)
	if limit > 0 && !late && !plan.Record.Phase.Ended() && !plan.Record.ClockSince.IsZero() {
		plan.Again = now.Add(limit - plan.Record.Elapsed(now))
	}
	return plan
}

// merged records what became of the pull request, and has its branch removed;
// why is said where it has to be closed for that.
func (s Snapshot) merged(why string) (Plan, bool) {
	if s.Promotion.Proposal == nil || s.Promotion.Proposal.State != environments.ProposalOpen || s.Proposal == nil {
		return Plan{}, false
	}
	plan := s.keep(s.Promotion.Message)
	merged := *s.Promotion.Proposal
	merged.State, merged.ClosedBy = environments.ProposalMerged, s.Proposal.ClosedBy
	plan.Record.Proposal = &merged
	// A branch that somebody went on with stays.
	if s.Proposal.State != environments.ProposalClosed && s.foreign() == "" {
		plan.Action, plan.Reason = RemoveProposal, why
	}
	return plan, true
}

// checkpoint is how much of the clock of the deadline may be lost when Serin
// ends: so often it is brought forward in the record while it runs.
const checkpoint = time.Minute

// tick brings the clock of the deadline forward, and stops or starts it. What
// counts is in the record, so a new process goes on where the last one was;
// time in which nobody looked does not count.
func (s *Snapshot) tick(stopped bool, now time.Time) {
	p := &s.Promotion
	// A record has whole seconds: the rest of one is counted at the next look.
	now = now.Truncate(time.Second)
	if !p.ClockSince.IsZero() {
		passed := now.Sub(p.ClockSince)
		switch {
		case passed < 0 || s.Patience > 0 && passed > s.Patience:
			p.ClockSince = now
		case stopped || passed >= checkpoint:
			p.Clock, p.ClockSince = p.Clock+passed, now
		}
	}
	switch {
	case stopped:
		p.ClockSince = time.Time{}
	case p.ClockSince.IsZero():
		p.ClockSince = now
	}
}

// progress is the phase by what the workloads are at.
func (s Snapshot) progress(now time.Time) Plan {
	switch {
	case len(s.inState(WorkloadStale)) > 0:
		return s.enter(environments.Applying, now, "Git has it, the cluster does not yet: %s", s.unfinished())
	case len(s.inState(WorkloadRolling)) > 0:
		plan := s.enter(environments.RollingOut, now, "waits for %s", s.unfinished())
		plan.Held = s.held()
		return plan
	case len(s.inState(WorkloadBaking)) > 0:
		return s.enter(environments.Soaking, now, "runs and is watched: %s", s.unfinished())
	}
	plan := s.enter(environments.Succeeded, now, "runs well: %d workloads", len(s.Workloads))
	if len(s.Workloads) == 0 {
		plan.Record.Message = "Git has it; no workload of the overlay uses these images"
	}
	plan.Record.Succeeded = now
	return plan
}

// held is why a workload is held up, the first's.
func (s Snapshot) held() string {
	for _, workload := range s.inState(WorkloadRolling) {
		if workload.Held != "" {
			return workload.Held
		}
	}
	return ""
}

func (s Snapshot) inState(state WorkloadState) []Workload {
	var found []Workload
	for _, workload := range s.Workloads {
		if workload.State == state {
			found = append(found, workload)
		}
	}
	return found
}

// unfinished names what is not ready, and what whatever applies Git says.
func (s Snapshot) unfinished() string {
	var open []Workload
	for _, workload := range s.Workloads {
		if workload.State != WorkloadReady {
			open = append(open, workload)
		}
	}
	text := describeWorkloads(open)
	if s.Sync != "" {
		text = "sync fails: " + s.Sync + "; " + text
	}
	if s.Suspended != "" {
		text = s.Suspended + " is suspended, resume it (the deadline's clock stands); " + text
	}
	return text
}

// maxNamed bounds how many workloads one message names.
const maxNamed = 3

func describeWorkloads(workloads []Workload) string {
	texts := make([]string, 0, maxNamed+1)
	for i, workload := range workloads {
		if i == maxNamed {
			texts = append(texts, fmt.Sprintf("and %d more", len(workloads)-maxNamed))
			break
		}
		texts = append(texts, fmt.Sprintf("%s: %s", workload.Name, workload.Message))
	}
	return strings.Join(texts, "; ")
}

// fail records the failure before anything is taken back.
func (s Snapshot) fail(now time.Time, why string) Plan {
	plan := s.enter(environments.RollingBack, now, "failed: %s", why)
	plan.Record.Failure = why
	plan.Record.Clock, plan.Record.ClockSince = plan.Record.Elapsed(now), time.Time{}
	return plan
}

// brought are the images that this Promotion changed.
func (s Snapshot) brought() []environments.Image {
	return environments.Changed(s.Promotion.Previous, s.Release.Images)
}

// rollingBack takes a failed Promotion back: first the Release is quarantined,
// then Git is restored.
func (s Snapshot) rollingBack(now time.Time) Plan {
	brought := s.brought()
	if len(brought) == 0 {
		return s.enter(environments.Failed, now, "failed: %s. Git had these images before, so there is nothing to restore", s.Promotion.Failure)
	}
	if !s.quarantined(brought) {
		plan := s.keep(fmt.Sprintf("failed: %s. Quarantined %s", s.Promotion.Failure, s.Release.Name))
		plan.Action, plan.Images = QuarantineRelease, brought
		return plan
	}
	if s.Environment.Return == environments.ReturnNot {
		return s.closing(s.enter(environments.Failed, now, "failed: %s. Git is left as it is (rollback: None)", s.Promotion.Failure))
	}
	if !s.Git.Known {
		return s.keep(fmt.Sprintf("failed: %s. Waits for Git, which could not be read, to restore it", s.Promotion.Failure))
	}
	restore, lost := s.restorable(brought)
	if len(restore) == 0 {
		return s.restored(lost, now)
	}
	if s.Newer != "" {
		return s.replaced(now)
	}
	if s.Environment.Return == environments.ReturnByCommit && !s.Protected {
		plan := s.enter(environments.RolledBack, now, "failed: %s. Git is back at %s", s.Promotion.Failure, environments.Describe(restore))
		if len(lost) > 0 {
			plan = s.keep(fmt.Sprintf("failed: %s. Restoring %s", s.Promotion.Failure, environments.Describe(restore)))
		}
		plan.Action, plan.Images = RestoreByCommit, restore
		return plan
	}
	return s.restoreByProposal(restore, now)
}

// quarantined says whether all these images are rejected already, here or in an
// Environment before.
func (s Snapshot) quarantined(images []environments.Image) bool {
	return !slices.ContainsFunc(images, func(i environments.Image) bool {
		return !slices.ContainsFunc(s.Rejected, func(r environments.Image) bool { return environments.Pinned(i, r) })
	})
}

// restorable are the images before, of those that Git still has from this
// Promotion: what a person changed since stays. lost are those with no image
// before that may be restored.
func (s Snapshot) restorable(brought []environments.Image) (restore, lost []environments.Image) {
	for _, image := range brought {
		if !environments.Carries(s.Git.Images, []environments.Image{image}) {
			continue
		}
		before, known := environments.Find(s.Promotion.Previous, image.Repository)
		rejected := slices.ContainsFunc(s.Rejected, func(r environments.Image) bool { return environments.Pinned(before, r) })
		if !known || rejected || before.Tag == "" && before.Digest == "" {
			lost = append(lost, image)
			continue
		}
		restore = append(restore, before)
	}
	return restore, lost
}

// replaced ends a rollback that a newer Release makes needless. A pull request
// that asks for it would take the newer Release back, so it is closed first.
func (s Snapshot) replaced(now time.Time) Plan {
	asked := s.Promotion.Proposal
	if asked != nil && asked.Restores && asked.State == environments.ProposalOpen && s.Proposal == nil {
		return s.keep(fmt.Sprintf("failed: %s. Promotion %s of a newer Release takes its place once the rollback's pull request is closed: waits for the Git host, which could not be read",
			s.Promotion.Failure, s.Newer))
	}
	return s.closing(s.enter(environments.Superseded, now, "failed: %s. Promotion %s of a newer Release took its place before it was taken back", s.Promotion.Failure, s.Newer))
}

// restored ends a rollback once Git has nothing of it left that can go.
func (s Snapshot) restored(lost []environments.Image, now time.Time) Plan {
	if len(lost) > 0 {
		return s.closing(s.enter(environments.Failed, now, "failed: %s. There is no image to restore in place of %s: promote a newer Release", s.Promotion.Failure, environments.Describe(lost)))
	}
	if plan, found := s.merged("Git is back at " + environments.Describe(s.Git.Images)); found {
		return plan
	}
	plan := s.enter(environments.RolledBack, now, "failed: %s. Git is back at %s", s.Promotion.Failure, environments.Describe(s.Git.Images))
	if plan.Record.RollbackCommit == "" {
		plan.Record.RollbackCommit = s.Git.Tip
	}
	return plan
}

// restoreByProposal asks a person to take the Release back.
func (s Snapshot) restoreByProposal(restore []environments.Image, now time.Time) Plan {
	why := "rollback: PullRequest"
	if s.Protected {
		why = "the branch refuses commits"
	}
	asked := s.Promotion.Proposal
	if asked == nil || !asked.Restores {
		plan := s.keep(fmt.Sprintf("failed: %s. A pull request asks to restore %s (%s)", s.Promotion.Failure, environments.Describe(restore), why))
		plan.Action, plan.Images = RestoreByProposal, restore
		return plan
	}
	if s.Proposal != nil && s.Proposal.State == environments.ProposalClosed {
		plan := s.enter(environments.Failed, now, "failed: %s. %s closed the pull request that would have restored Git", s.Promotion.Failure, someone(s.Proposal.ClosedBy))
		plan.Record.Proposal = s.shown()
		return plan
	}
	if foreign := s.foreign(); foreign != "" {
		return s.keep(fmt.Sprintf("failed: %s. %s", s.Promotion.Failure, foreign))
	}
	if s.Request.Verb == environments.Approve {
		plan := s.keep("approved: merging the rollback")
		plan.Action = MergeProposal
		plan.Record.Handled = s.Request.Token
		return plan
	}
	return s.keep(fmt.Sprintf("failed: %s. Waits for the pull request that restores %s to be merged (%s)", s.Promotion.Failure, environments.Describe(restore), why))
}
