// Package promotion decides what a Promotion does next: how a Release comes into
// an Environment's overlay, whether it runs there, and how it is taken back.
package promotion

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Snapshot is what a Promotion's decision rests on.
type Snapshot struct {
	Environment environments.Environment
	Release     environments.Release
	Promotion   environments.Promotion
	// Newer is the name of a newer Promotion into the same Environment, Older
	// that of an older one that has not ended; empty where there is none.
	Newer, Older string
	// Rejected are the images that this Environment may not take.
	Rejected []environments.Image
	Git      Git
	// Proposal is what the host shows, looked at before Git; nil where it was
	// not looked at. One that is gone is Closed.
	Proposal *environments.Proposal
	// Workloads that the Release changes, as they are; nil where they were not
	// looked at.
	Workloads []Workload
	// Sync is why whatever applies Git says that it cannot; empty where it
	// works or does not say.
	Sync string
	// Suspended names what applies Git where a person has suspended it, so that
	// the clock of the deadline stands until it has applied the Release.
	Suspended string
	// Request of a person that has not been carried out yet.
	Request environments.Request
	// Patience is the longest time between two looks that counts for the
	// deadline: while there was none for longer, nobody looked (Serin was down,
	// or its API server).
	Patience time.Duration
	// Protected says that the branch was found to refuse commits.
	Protected bool
}

// Git is the Environment's overlay on the branch.
type Git struct {
	// Known is false where Git could not be read.
	Known bool
	Tip   string
	// Images of the Release's repositories.
	Images []environments.Image
}

// WorkloadState is how far a workload is with the images it should run.
type WorkloadState string

// States of a workload.
const (
	// WorkloadStale: its object does not name the images yet, or is not there.
	WorkloadStale WorkloadState = "Stale"
	// WorkloadRolling: not every pod runs them.
	WorkloadRolling WorkloadState = "Rolling"
	// WorkloadBaking: all pods run them, and its Rollout still watches.
	WorkloadBaking WorkloadState = "Baking"
	// WorkloadReady: all pods run them and are ready.
	WorkloadReady WorkloadState = "Ready"
	// WorkloadFailed: they do not run, and waiting does not help.
	WorkloadFailed WorkloadState = "Failed"
)

// Workload is one workload as it is.
type Workload struct {
	// Name as kind namespace/name.
	Name    string
	State   WorkloadState
	Message string
	// Stopped says that its Rollout is paused or frozen, or that its pods are held
	// up, so the clock stands.
	Stopped bool
	// Held is the token of what keeps its pods from coming up through no fault of
	// the images, such as NoRoom; empty where nothing does, or a Rollout says so.
	Held     string
	Evidence []string
}

// Action is the one thing that a plan does.
type Action string

// Actions.
const (
	// Nothing is done; the record may still change.
	Nothing Action = ""
	// WriteCommit commits Images to the branch.
	WriteCommit Action = "WriteCommit"
	// WriteProposal opens or renews the pull request with Images.
	WriteProposal Action = "WriteProposal"
	// MergeProposal merges the pull request.
	MergeProposal Action = "MergeProposal"
	// CloseProposal closes the pull request.
	CloseProposal Action = "CloseProposal"
	// RemoveProposal removes the branch of a pull request whose change has come
	// to Git; where it is open still, since that came about in another way, it is
	// closed.
	RemoveProposal Action = "RemoveProposal"
	// QuarantineRelease records Images as rejected in the Release's status.
	QuarantineRelease Action = "QuarantineRelease"
	// RestoreByCommit commits Images, which were there before.
	RestoreByCommit Action = "RestoreByCommit"
	// RestoreByProposal asks for that.
	RestoreByProposal Action = "RestoreByProposal"
)

// Plan is what a Promotion does next: at most one action, and the
// record after it.
type Plan struct {
	Action Action
	// Images that the action writes or rejects.
	Images []environments.Image
	// Record is the Promotion once the action has succeeded; without an action,
	// the record as it is to be reported.
	Record environments.Promotion
	// Reason for people.
	Reason string
	// Refused says why the person's request is not carried out; it counts as
	// handled.
	Refused string
	// Held is why the roll-out cannot go on without help, as a token, though the
	// Release has no part in it; empty where it goes on.
	Held string
	// Again is when time alone may change the decision; zero for never.
	Again time.Time
}

// DecidePromotion decides what a Promotion does next. What Git has counts, not
// who wrote it: a Release that is on the branch has been merged, however that
// came about.
func DecidePromotion(s Snapshot, now time.Time) Plan {
	if refused := environments.Refusal(s.Request.Verb, s.Promotion); refused != "" {
		plan := Plan{Record: s.Promotion, Refused: fmt.Sprintf("request %q: %s", s.Request.Token, refused)}
		plan.Record.Handled = s.Request.Token
		return plan
	}
	switch s.Promotion.Phase {
	case "", environments.Pending:
		return s.pending(now)
	case environments.Writing:
		return s.writing(now)
	case environments.AwaitingApproval:
		return s.awaiting(now)
	case environments.Applying, environments.RollingOut, environments.Soaking:
		return s.running(now)
	case environments.RollingBack:
		return s.rollingBack(now)
	case environments.Rejected:
		return s.rejected()
	case environments.Succeeded, environments.Failed, environments.RolledBack, environments.Superseded:
	}
	return Plan{Record: s.Promotion}
}

// keep leaves the phase as it is.
func (s Snapshot) keep(message string) Plan {
	record := s.Promotion
	if record.Phase == "" {
		record.Phase = environments.Pending
	}
	record.Message = message
	return Plan{Record: record, Reason: message}
}

// enter changes the phase.
func (s Snapshot) enter(phase environments.Phase, now time.Time, format string, args ...any) Plan {
	plan := s.keep(fmt.Sprintf(format, args...))
	plan.Record.Phase = phase
	if phase.Ended() && plan.Record.Completed.IsZero() {
		plan.Record.Completed = now
		plan.Record.Clock, plan.Record.ClockSince = plan.Record.Elapsed(now), time.Time{}
	}
	return plan
}

// forced says whether a person asked for this against Serin's own rules.
func (s Snapshot) forced() bool { return s.Promotion.RequestedBy != "" }

// displaced ends a Promotion that Git does not have yet where it may not go on.
func (s Snapshot) displaced(now time.Time) (Plan, bool) {
	if s.Newer != "" {
		return s.enter(environments.Superseded, now, "Promotion %s of a newer Release took its place", s.Newer), true
	}
	if s.forced() {
		return Plan{}, false
	}
	for _, image := range s.Release.Images {
		if slices.ContainsFunc(s.Rejected, func(r environments.Image) bool { return environments.Pinned(image, r) }) {
			plan := s.enter(environments.Failed, now, "%s was rejected in this environment or one before it; \"serin promote\" brings it here all the same", image.Short())
			plan.Record.Failure = plan.Record.Message
			return s.closing(plan), true
		}
	}
	return Plan{}, false
}

// closing closes the pull request on the way to an end, where one is open, with
// the end's message as comment.
func (s Snapshot) closing(plan Plan) Plan {
	if s.Proposal == nil {
		return plan
	}
	plan.Record.Proposal = s.shown()
	if s.Proposal.State == environments.ProposalOpen {
		plan.Action = CloseProposal
		plan.Record.Proposal.State = environments.ProposalClosed
	}
	return plan
}

// rejection is a person's reject in words.
func (s Snapshot) rejection() string {
	text := "rejected by " + someone(s.Request.By)
	if s.Request.Reason != "" {
		text += ": " + s.Request.Reason
	}
	return text
}

// asked carries out a person's reject, or notes an approval, of what Git does
// not have yet.
func (s Snapshot) asked(now time.Time) (Plan, bool) {
	switch s.Request.Verb {
	case environments.Reject:
		plan := s.closing(s.enter(environments.Rejected, now, "%s", s.rejection()))
		plan.Record.Handled = s.Request.Token
		return plan, true
	case environments.Approve:
		if s.Promotion.ApprovedBy != "" {
			return Plan{}, false
		}
		plan := s.keep("approved by " + someone(s.Request.By))
		plan.Record.ApprovedBy = someone(s.Request.By)
		plan.Record.Handled = s.Request.Token
		return plan, true
	default:
		return Plan{}, false
	}
}

// landed goes on with what Git already has.
func (s Snapshot) landed(now time.Time) (Plan, bool) {
	if !s.Git.Known || !environments.Carries(s.Git.Images, s.Release.Images) {
		return Plan{}, false
	}
	plan := s.enter(environments.Applying, now, "Git has %s", s.Release.Tags())
	record := &plan.Record
	record.Commit = s.Git.Tip
	record.Written, record.ClockSince, record.Clock = now, now, 0
	if len(record.Previous) == 0 {
		record.Previous = slices.Clone(s.Git.Images)
	}
	return plan, true
}

// pending waits for the gates. The images that Git has are recorded before
// anything is written: a rollback restores them.
func (s Snapshot) pending(now time.Time) Plan {
	if plan, ended := s.displaced(now); ended {
		return plan
	}
	if plan, found := s.asked(now); found {
		return plan
	}
	if s.Older != "" {
		return s.keep(fmt.Sprintf("waits for Promotion %s to end", s.Older))
	}
	if !s.Git.Known {
		return s.keep("waits for Git, which could not be read")
	}
	if plan, found := s.landed(now); found {
		return plan
	}
	if plan, frozen := s.frozen(now); frozen {
		return plan
	}
	if s.Environment.Approval && s.Environment.Entry == environments.ByCommit && s.Promotion.ApprovedBy == "" && !s.forced() {
		return s.keep(fmt.Sprintf("waits for approval: \"serin approve %s\"", s.Promotion.Name))
	}
	plan := s.enter(environments.Writing, now, "writing %s", s.Release.Tags())
	plan.Record.Previous = slices.Clone(s.Git.Images)
	return plan
}

// frozen waits for the end of a freeze window. One that cannot be read holds all.
func (s Snapshot) frozen(now time.Time) (Plan, bool) {
	until, reason, err := environments.Frozen(s.Environment.Freeze, now)
	if err != nil {
		return s.keep(err.Error()), true
	}
	if until.IsZero() || s.forced() {
		return Plan{}, false
	}
	plan := s.keep(environments.FrozenText(until, reason))
	plan.Again = until
	return plan, true
}

// writing writes the commit or the pull request, which may have to wait again: a
// window may have opened since the Git host was away.
func (s Snapshot) writing(now time.Time) Plan {
	if !s.Git.Known {
		return s.keep("waits for Git, which could not be read")
	}
	if plan, found := s.landed(now); found {
		return plan
	}
	if plan, ended := s.displaced(now); ended {
		return plan
	}
	if s.Request.Verb == environments.Reject {
		plan, _ := s.asked(now)
		return plan
	}
	if plan, frozen := s.frozen(now); frozen {
		return plan
	}
	if plan, moved := s.rebased(); moved {
		return plan
	}
	changed := environments.Changed(s.Git.Images, s.Release.Images)
	if s.Environment.Entry == environments.ByCommit {
		plan := s.enter(environments.Applying, now, "committed %s", s.Release.Tags())
		plan.Action, plan.Images = WriteCommit, changed
		plan.Record.Written, plan.Record.ClockSince, plan.Record.Clock = now, now, 0
		return plan
	}
	plan := s.enter(environments.AwaitingApproval, now, "a person is asked to approve %s", s.Release.Tags())
	plan.Action, plan.Images = WriteProposal, changed
	return plan
}

// rebased records the images anew where Git got others before the write.
func (s Snapshot) rebased() (Plan, bool) {
	if environments.ContentKey(s.Git.Images) == environments.ContentKey(s.Promotion.Previous) {
		return Plan{}, false
	}
	plan := s.keep("Git got other images meanwhile; the change is written upon those")
	plan.Record.Phase = environments.Writing
	plan.Record.Previous = slices.Clone(s.Git.Images)
	return plan, true
}

// awaiting looks at what people did with the pull request.
func (s Snapshot) awaiting(now time.Time) Plan {
	if !s.Git.Known {
		return s.keep("waits for Git, which could not be read")
	}
	if plan, found := s.landed(now); found {
		return plan
	}
	if plan, ended := s.displaced(now); ended {
		return plan
	}
	if s.Proposal == nil {
		return s.keep("waits for the Git host, whose pull request could not be read")
	}
	switch s.Proposal.State {
	case environments.ProposalMerged:
		return s.enter(environments.Superseded, now, "the pull request was merged, and Git has other images: a person changed them")
	case environments.ProposalClosed:
		plan := s.enter(environments.Rejected, now, "%s closed the pull request; \"serin retry\" opens another", someone(s.Proposal.ClosedBy))
		plan.Record.Proposal = s.shown()
		return plan
	case environments.ProposalOpen:
	}
	if plan, found := s.asked(now); found {
		return plan
	}
	if foreign := s.foreign(); foreign != "" {
		return s.keep(foreign)
	}
	if s.Promotion.ApprovedBy != "" {
		plan := s.keep(fmt.Sprintf("approved by %s: merging", s.Promotion.ApprovedBy))
		plan.Action = MergeProposal
		return plan
	}
	if plan, moved := s.rebased(); moved {
		return plan
	}
	where := s.Proposal.URL
	if where == "" {
		where = "branch " + s.Proposal.Branch
	}
	plan := s.keep(fmt.Sprintf("waits for approval: merge %s, or \"serin approve %s\"", where, s.Promotion.Name))
	plan.Record.Proposal = s.shown()
	return plan
}

// foreign says that the proposal's branch is not what Serin wrote; empty where
// it is. An approval is for the Release, so what somebody pushed beside it is
// not merged by it.
func (s Snapshot) foreign() string {
	ours, shown := s.Promotion.Proposal, s.Proposal
	if ours == nil || shown == nil || shown.State != environments.ProposalOpen || ours.Head == "" || shown.Head == "" || ours.Head == shown.Head {
		return ""
	}
	return fmt.Sprintf("branch %s is at %s, and Serin wrote %s: it is not merged for you. Look at what was pushed there and merge it yourself, or put the branch back, or \"serin reject %s\"",
		shown.Branch, shown.Head, ours.Head, s.Promotion.Name)
}

// shown is the pull request as the host shows it, for the record: its head
// stays the one that Serin wrote.
func (s Snapshot) shown() *environments.Proposal {
	shown := *s.Proposal
	if ours := s.Promotion.Proposal; ours != nil && ours.Head != "" {
		shown.Head = ours.Head
	}
	return &shown
}

// rejected goes on where a person opened the pull request again.
func (s Snapshot) rejected() Plan {
	if s.Newer != "" || s.Proposal == nil || s.Proposal.State != environments.ProposalOpen {
		return Plan{Record: s.Promotion}
	}
	plan := s.keep("a person opened the pull request again")
	plan.Record.Phase, plan.Record.Completed = environments.AwaitingApproval, time.Time{}
	plan.Record.Proposal = s.shown()
	return plan
}

func someone(name string) string {
	if name == "" {
		return "a person"
	}
	return name
}

// NotMergeable is the plan after the host refused to merge: where the branch
// has moved since the pull request was written, it is written anew upon the
// newest tip.
func NotMergeable(s Snapshot, why string) Plan {
	plan := s.keep("the pull request cannot be merged: " + why)
	p := s.Promotion.Proposal
	if p == nil || !s.Git.Known || p.Base == s.Git.Tip {
		return plan
	}
	if p.Restores {
		// The rollback asks anew where it finds that it has not asked.
		plan.Record.Proposal = nil
		return plan
	}
	plan.Record.Phase = environments.Writing
	return plan
}
