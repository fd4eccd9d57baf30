package environments

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is a snapshot of v2 on its way from v1 in this phase.
func at(phase Phase, change func(*PromotionSnapshot)) PromotionSnapshot {
	v1, v2 := rel(1, "v1"), rel(2, "v2")
	s := PromotionSnapshot{
		Environment: Environment{Name: "prod", Entry: ByPullRequest, Return: ReturnByCommit, Deadline: 30 * time.Minute},
		Release:     v2,
		Promotion:   promo("prod", v2, 2, phase),
		Git:         Git{Known: true, Tip: "tip", Images: v1.Images},
	}
	s.Promotion.Previous = v1.Images
	switch phase {
	case AwaitingApproval, Rejected:
		s.Promotion.Proposal = &Proposal{ID: "7", Branch: "serin/app/prod", State: ProposalOpen, Base: "base"}
		s.Proposal = &Proposal{ID: "7", Branch: "serin/app/prod", State: ProposalOpen}
	case Applying, RollingOut, Soaking, RollingBack:
		s.Git.Images = v2.Images
		s.Promotion.ClockSince = start
	default:
	}
	change(&s)
	return s
}

func workloads(states ...WorkloadState) []Workload {
	found := []Workload{}
	for _, state := range states {
		found = append(found, Workload{Name: "Deployment app/web", State: state, Message: string(state)})
	}
	return found
}

func TestDecidePromotion(t *testing.T) {
	v2 := rel(2, "v2")
	none := func(*PromotionSnapshot) {}
	quarantine := func(s *PromotionSnapshot) {
		s.Rejected = v2.Images
		s.Promotion.Failure = "bad"
	}
	for _, c := range []struct {
		name   string
		s      PromotionSnapshot
		phase  Phase
		action Action
		says   string
	}{
		{"pending: goes to write", at(Pending, none), Writing, Nothing, ""},
		{"pending: a new one", at("", none), Writing, Nothing, ""},
		{"pending: older one", at(Pending, func(s *PromotionSnapshot) { s.Older = "x" }), Pending, Nothing, "waits for Promotion x"},
		{"pending: newer one", at(Pending, func(s *PromotionSnapshot) { s.Newer = "x" }), Superseded, Nothing, "x"},
		{"pending: Git unknown", at(Pending, func(s *PromotionSnapshot) { s.Git = Git{} }), Pending, Nothing, "Git"},
		{"pending: frozen", at(Pending, func(s *PromotionSnapshot) {
			s.Environment.Freeze = []FreezeWindow{{Start: "0 8 * * *", Duration: 4 * time.Hour, Reason: "launch"}}
		}), Pending, Nothing, "frozen until 2026-03-02T12:00:00Z (launch)"},
		{"pending: rejected image", at(Pending, func(s *PromotionSnapshot) { s.Rejected = v2.Images }), Failed, Nothing, "was rejected"},
		{"pending: rejected image, forced", at(Pending, func(s *PromotionSnapshot) { s.Rejected, s.Promotion.RequestedBy = v2.Images, "ann" }), Writing, Nothing, ""},
		{"pending: approval", at(Pending, func(s *PromotionSnapshot) { s.Environment.Entry, s.Environment.Approval = ByCommit, true }), Pending, Nothing, "serin approve"},
		{"pending: approved", at(Pending, func(s *PromotionSnapshot) {
			s.Environment.Entry, s.Environment.Approval, s.Promotion.ApprovedBy = ByCommit, true, "ann"
		}), Writing, Nothing, ""},
		{"pending: Git has it", at(Pending, func(s *PromotionSnapshot) { s.Git.Images = v2.Images }), Applying, Nothing, "Git has"},
		{"writing: commit", at(Writing, func(s *PromotionSnapshot) { s.Environment.Entry = ByCommit }), Applying, WriteCommit, ""},
		{"writing: proposal", at(Writing, none), AwaitingApproval, WriteProposal, ""},
		{"writing: landed before a crash", at(Writing, func(s *PromotionSnapshot) { s.Git.Images = v2.Images }), Applying, Nothing, ""},
		{"writing: others changed the images", at(Writing, func(s *PromotionSnapshot) { s.Git.Images = []Image{img("v0")} }), Writing, Nothing, "other images"},
		{"awaiting: waits", at(AwaitingApproval, none), AwaitingApproval, Nothing, "waits for approval"},
		{"awaiting: merged", at(AwaitingApproval, func(s *PromotionSnapshot) {
			s.Git.Images, s.Proposal.State = v2.Images, ProposalMerged
		}), Applying, Nothing, ""},
		{"awaiting: merged by git and the branch deleted", at(AwaitingApproval, func(s *PromotionSnapshot) {
			s.Git.Images, s.Proposal.State = v2.Images, ProposalClosed
		}), Applying, Nothing, ""},
		{"awaiting: closed", at(AwaitingApproval, func(s *PromotionSnapshot) {
			s.Proposal.State, s.Proposal.ClosedBy = ProposalClosed, "ann"
		}), Rejected, Nothing, "ann closed"},
		{"awaiting: newer", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Newer = "x" }), Superseded, Nothing, ""},
		{"awaiting: merged and newer", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Newer, s.Git.Images = "x", v2.Images }), Applying, Nothing, ""},
		{"awaiting: host away", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Proposal = nil }), AwaitingApproval, Nothing, "host"},
		{"awaiting: approve", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Request = Request{Verb: Approve, By: "ann", Token: "t"} }), AwaitingApproval, Nothing, "approved by ann"},
		{"awaiting: approved", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Promotion.ApprovedBy = "ann" }), AwaitingApproval, MergeProposal, ""},
		{"awaiting: reject", at(AwaitingApproval, func(s *PromotionSnapshot) {
			s.Request = Request{Verb: Reject, By: "ann", Reason: "no", Token: "t"}
		}), Rejected, CloseProposal, "rejected by ann: no"},
		{"awaiting: quarantined meanwhile", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Rejected = v2.Images }), Failed, CloseProposal, ""},
		{"awaiting: Git moved on", at(AwaitingApproval, func(s *PromotionSnapshot) { s.Git.Images = []Image{img("v0")} }), Writing, Nothing, ""},
		{"rejected: stays", at(Rejected, func(s *PromotionSnapshot) { s.Proposal.State = ProposalClosed }), Rejected, Nothing, ""},
		{"rejected: opened again", at(Rejected, none), AwaitingApproval, Nothing, "again"},
		{"applying: open pull request is closed", at(Applying, func(s *PromotionSnapshot) {
			s.Promotion.Proposal = &Proposal{ID: "7", State: ProposalOpen}
			s.Proposal = &Proposal{ID: "7", State: ProposalOpen}
		}), Applying, RemoveProposal, ""},
		{"applying: a branch that is gone is not removed", at(Applying, func(s *PromotionSnapshot) {
			s.Promotion.Proposal = &Proposal{ID: "7", State: ProposalOpen}
			s.Proposal = &Proposal{ID: "7", State: ProposalClosed}
		}), Applying, Nothing, ""},
		{"applying: a branch that somebody went on with is not removed", at(Applying, func(s *PromotionSnapshot) {
			s.Promotion.Proposal = &Proposal{ID: "7", State: ProposalOpen, Head: "ours"}
			s.Proposal = &Proposal{ID: "7", State: ProposalOpen, Head: "theirs"}
		}), Applying, Nothing, ""},
		{"applying: stale", at(Applying, func(s *PromotionSnapshot) {
			s.Workloads, s.Sync = workloads(WorkloadReady, WorkloadStale), "no such path"
		}), Applying, Nothing, "sync fails: no such path; Deployment app/web"},
		{"applying: rolling", at(Applying, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadReady, WorkloadRolling) }), RollingOut, Nothing, ""},
		{"rolling: baking", at(RollingOut, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadReady, WorkloadBaking) }), Soaking, Nothing, ""},
		{"rolling: ready", at(RollingOut, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadReady) }), Succeeded, Nothing, "runs well: 1"},
		{"rolling: failed", at(RollingOut, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadReady, WorkloadFailed) }), RollingBack, Nothing, "failed: Deployment app/web"},
		{"rolling: person", at(RollingOut, func(s *PromotionSnapshot) { s.Git.Images = []Image{img("v0")} }), Superseded, Nothing, "a person changed Git"},
		{"rolling: deadline", at(RollingOut, func(s *PromotionSnapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-30*time.Minute), workloads(WorkloadRolling)
		}), RollingBack, Nothing, "deadline"},
		{"rolling: ready after the deadline, which nobody looked at meanwhile", at(RollingOut, func(s *PromotionSnapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-3*time.Hour), workloads(WorkloadReady)
		}), Succeeded, Nothing, "runs well"},
		{"rolling: baking after the deadline", at(RollingOut, func(s *PromotionSnapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-3*time.Hour), workloads(WorkloadReady, WorkloadBaking)
		}), Soaking, Nothing, "is watched"},
		{"awaiting: approved, and somebody pushed to the branch", at(AwaitingApproval, func(s *PromotionSnapshot) {
			s.Promotion.ApprovedBy, s.Promotion.Proposal.Head, s.Proposal.Head = "ann", "ours", "theirs"
		}), AwaitingApproval, Nothing, "theirs"},
		{"rolling back: approved, and somebody pushed to the branch", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = ReturnByPullRequest, &Proposal{ID: "8", Restores: true, State: ProposalOpen, Head: "ours"}
			s.Proposal, s.Request = &Proposal{ID: "8", State: ProposalOpen, Head: "theirs"}, Request{Verb: Approve, By: "ann", Token: "t"}
		}), RollingBack, Nothing, "theirs"},
		{"rolling back: quarantine first", at(RollingBack, func(s *PromotionSnapshot) { s.Promotion.Failure = "bad" }), RollingBack, QuarantineRelease, "bad"},
		{"rolling back: then Git", at(RollingBack, quarantine), RolledBack, RestoreByCommit, "back at app:v1@111111111111"},
		{"rolling back: Git away", at(RollingBack, func(s *PromotionSnapshot) { quarantine(s); s.Git = Git{} }), RollingBack, Nothing, "Waits for Git"},
		{"rolling back: none", at(RollingBack, func(s *PromotionSnapshot) { quarantine(s); s.Environment.Return = ReturnNot }), Failed, Nothing, "None"},
		{"rolling back: a person was faster", at(RollingBack, func(s *PromotionSnapshot) { quarantine(s); s.Git.Images = []Image{img("v0")} }), RolledBack, Nothing, ""},
		{"rolling back: protected", at(RollingBack, func(s *PromotionSnapshot) { quarantine(s); s.Protected = true }), RollingBack, RestoreByProposal, "refuses commits"},
		{"rolling back: asked", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = ReturnByPullRequest, &Proposal{ID: "8", Restores: true, State: ProposalOpen}
		}), RollingBack, Nothing, "Waits for the pull request"},
		{"rolling back: refused by a person", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = ReturnByPullRequest, &Proposal{ID: "8", Restores: true, State: ProposalOpen}
			s.Proposal = &Proposal{ID: "8", State: ProposalClosed}
		}), Failed, Nothing, "closed the pull request"},
		{"rolling back: the image before was rejected too", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Rejected = append(s.Rejected, img("v1"))
		}), Failed, Nothing, "no image to restore"},
		{"rolling back: superseded, and its pull request is closed", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Newer, s.Environment.Return = "x", ReturnByPullRequest
			s.Promotion.Proposal, s.Proposal = &Proposal{ID: "8", Restores: true, State: ProposalOpen}, &Proposal{ID: "8", Restores: true, State: ProposalOpen}
		}), Superseded, CloseProposal, "Promotion x"},
		{"rolling back: superseded, and the host is away", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Newer, s.Environment.Return = "x", ReturnByPullRequest
			s.Promotion.Proposal = &Proposal{ID: "8", Restores: true, State: ProposalOpen}
		}), RollingBack, Nothing, "waits for the Git host"},
		{"rolling back: a person was faster than the pull request", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Git.Images = []Image{img("v0")}
			s.Promotion.Proposal, s.Proposal = &Proposal{ID: "8", Restores: true, State: ProposalOpen}, &Proposal{ID: "8", Restores: true, State: ProposalOpen}
		}), RollingBack, RemoveProposal, ""},
		{"rolling back: nothing to restore any more, and its pull request is closed", at(RollingBack, func(s *PromotionSnapshot) {
			quarantine(s)
			s.Rejected = append(s.Rejected, img("v1"))
			s.Promotion.Proposal, s.Proposal = &Proposal{ID: "8", Restores: true, State: ProposalOpen}, &Proposal{ID: "8", Restores: true, State: ProposalOpen}
		}), Failed, CloseProposal, "no image to restore"},
		{"applying: reject", at(Applying, func(s *PromotionSnapshot) {
			s.Request = Request{Verb: Reject, By: "ann", Reason: "no", Token: "t"}
		}), RollingBack, Nothing, "failed: rejected by ann: no"},
		{"soaking: reject", at(Soaking, func(s *PromotionSnapshot) {
			s.Request, s.Workloads = Request{Verb: Reject, By: "ann", Token: "t"}, workloads(WorkloadBaking)
		}), RollingBack, Nothing, "failed: rejected by ann"},
		{"pending: reject while an older one is under way", at(Pending, func(s *PromotionSnapshot) {
			s.Older, s.Request = "x", Request{Verb: Reject, By: "ann", Token: "t"}
		}), Rejected, Nothing, "rejected by ann"},
		{"rolling back: nothing was changed", at(RollingBack, func(s *PromotionSnapshot) { s.Promotion.Previous = v2.Images }), Failed, Nothing, "nothing to restore"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := DecidePromotion(c.s, start.Add(time.Minute))
			if plan.Record.Phase != c.phase || plan.Action != c.action {
				t.Errorf("phase %s, action %q; want %s, %q (%s)", plan.Record.Phase, plan.Action, c.phase, c.action, plan.Record.Message)
			}
			if !strings.Contains(plan.Record.Message, c.says) {
				t.Errorf("message %q does not say %q", plan.Record.Message, c.says)
			}
			if plan.Record.Phase.Ended() == plan.Record.Completed.IsZero() && c.s.Promotion.Phase != Rejected {
				t.Errorf("phase %s, completed %s", plan.Record.Phase, plan.Record.Completed)
			}
		})
	}
}

// A clock that stands while a Rollout is paused does not use up the deadline.
func TestDeadlineStandsWhilePaused(t *testing.T) {
	s := at(RollingOut, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadRolling) })
	now := start
	step := func(after time.Duration, paused bool) {
		now = now.Add(after)
		s.Workloads[0].Stopped = paused
		s.Promotion = DecidePromotion(s, now).Record
	}
	step(20*time.Minute, true)
	step(10*time.Hour, true)
	step(time.Minute, false)
	step(9*time.Minute, false)
	if s.Promotion.Phase != RollingOut {
		t.Fatalf("phase %s after 29 minutes of 30: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	step(2*time.Minute, false)
	if s.Promotion.Phase != RollingBack {
		t.Fatalf("phase %s after 31 minutes of 30", s.Promotion.Phase)
	}
}

// Only what the Promotion brought and nobody changed since is restored.
func TestRestoreLeavesWhatOthersChanged(t *testing.T) {
	other := func(tag string) Image { return Image{Repository: "registry/other", Tag: tag} }
	s := at(RollingBack, func(s *PromotionSnapshot) {
		s.Release.Images = []Image{img("v2"), other("b2"), {Repository: "registry/same", Tag: "s"}}
		s.Promotion.Previous = []Image{img("v1"), other("b1"), {Repository: "registry/same", Tag: "s"}}
		s.Git.Images = []Image{img("v2"), other("b3"), {Repository: "registry/same", Tag: "s"}}
		s.Rejected = []Image{img("v2"), other("b2")}
	})
	plan := DecidePromotion(s, start)
	if diff := cmp.Diff([]Image{img("v1")}, plan.Images); diff != "" || plan.Action != RestoreByCommit {
		t.Errorf("%s %s", plan.Action, diff)
	}
}

func TestNotMergeable(t *testing.T) {
	s := at(AwaitingApproval, func(*PromotionSnapshot) {})
	if plan := NotMergeable(s, "conflict"); plan.Record.Phase != Writing {
		t.Errorf("the branch moved, phase %s", plan.Record.Phase)
	}
	s.Promotion.Proposal.Base = s.Git.Tip
	if plan := NotMergeable(s, "checks"); plan.Record.Phase != AwaitingApproval {
		t.Errorf("the branch did not move, phase %s", plan.Record.Phase)
	}
}

// A pull request that restores Git is written anew as well where the branch has
// moved: else it could never be merged.
func TestNotMergeableRollback(t *testing.T) {
	s := at(RollingBack, func(s *PromotionSnapshot) {
		s.Environment.Return, s.Rejected = ReturnByPullRequest, s.Release.Images
		s.Promotion.Failure = "bad"
		s.Promotion.Proposal = &Proposal{ID: "8", Restores: true, State: ProposalOpen, Base: "old"}
	})
	s.Promotion = NotMergeable(s, "the target has moved on").Record
	if plan := DecidePromotion(s, start); plan.Action != RestoreByProposal {
		t.Errorf("the branch moved: action %q, want %q (%s)", plan.Action, RestoreByProposal, plan.Record.Message)
	}
}

// What somebody pushed to the proposal's branch stays known as not Serin's own,
// however often it is looked at.
func TestForeignHeadIsNotTakenForOurs(t *testing.T) {
	s := at(AwaitingApproval, func(s *PromotionSnapshot) { s.Promotion.Proposal.Head, s.Proposal.Head = "ours", "theirs" })
	s.Promotion = DecidePromotion(s, start).Record
	s.Promotion.ApprovedBy = "ann"
	if plan := DecidePromotion(s, start); plan.Action != Nothing {
		t.Errorf("action %q on a branch that others wrote", plan.Action)
	}
}

// What is used up of the deadline is in the record while it runs: a new process
// goes on from there, and does not begin anew.
func TestDeadlineSurvivesRestarts(t *testing.T) {
	s := at(RollingOut, func(s *PromotionSnapshot) {
		s.Workloads, s.Patience = workloads(WorkloadRolling), 4*time.Minute
	})
	now := start
	for s.Promotion.Phase == RollingOut && now.Sub(start) < time.Hour {
		now = now.Add(2*time.Second + 300*time.Millisecond)
		s.Promotion = DecidePromotion(s, now).Record
		// The record as the API server keeps it, read by a new process.
		s.Promotion.ClockSince = s.Promotion.ClockSince.Truncate(time.Second)
		s.Promotion.Clock = s.Promotion.Clock.Round(time.Second)
		if used := s.Promotion.Elapsed(now); used > now.Sub(start)+time.Second || now.Sub(start)-used > 2*time.Second {
			t.Fatalf("%s of the deadline are used up after %s", used, now.Sub(start))
		}
		if open := now.Sub(s.Promotion.ClockSince); s.Promotion.Phase == RollingOut && open > checkpoint+4*time.Second {
			t.Fatalf("the record is %s old", open)
		}
	}
	if took := now.Sub(start); s.Promotion.Phase != RollingBack || took < 30*time.Minute || took > 31*time.Minute {
		t.Errorf("phase %s after %s of 30 minutes", s.Promotion.Phase, took)
	}
}

// Time in which nobody looked does not use up the deadline: Serin was down, or
// the API server was.
func TestDeadlineCountsWatchedTimeOnly(t *testing.T) {
	s := at(RollingOut, func(s *PromotionSnapshot) { s.Workloads = workloads(WorkloadRolling) })
	s.Promotion.Clock, s.Patience = 10*time.Minute, 4*time.Minute
	now := start.Add(5 * time.Hour)
	plan := DecidePromotion(s, now)
	if plan.Record.Phase != RollingOut {
		t.Fatalf("phase %s: %s", plan.Record.Phase, plan.Record.Message)
	}
	if got := plan.Record.Elapsed(now); got != 10*time.Minute {
		t.Errorf("%s of the deadline are used up, want 10m", got)
	}
	for range 7 {
		now = now.Add(3 * time.Minute)
		s.Promotion = plan.Record
		plan = DecidePromotion(s, now)
	}
	if plan.Record.Phase != RollingBack {
		t.Errorf("phase %s after 31 watched minutes of 30", plan.Record.Phase)
	}
}

// While what applies Git is suspended, and the cluster has not got the Release
// for that, the deadline's clock stands; once the objects have it, it runs.
func TestDeadlineStandsWhileSyncIsSuspended(t *testing.T) {
	s := at(Applying, func(s *PromotionSnapshot) {
		s.Workloads, s.Suspended, s.Patience = workloads(WorkloadReady, WorkloadStale), "Kustomization flux-system/app", 4*time.Minute
	})
	now := start
	run := func(minutes int) {
		for range minutes {
			now = now.Add(time.Minute)
			s.Promotion = DecidePromotion(s, now).Record
		}
	}
	run(5 * 60)
	if s.Promotion.Phase != Applying || !strings.Contains(s.Promotion.Message, "Kustomization flux-system/app is suspended") {
		t.Fatalf("phase %s after 5 suspended hours: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	s.Workloads = workloads(WorkloadReady, WorkloadRolling)
	run(28)
	if s.Promotion.Phase != RollingOut {
		t.Fatalf("phase %s: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	run(4)
	if s.Promotion.Phase != RollingBack {
		t.Errorf("phase %s: the clock does not run while pods roll, whatever the sync", s.Promotion.Phase)
	}
}

// A request that cannot be carried out is refused with its reason, once, and
// leaves the Promotion as it is.
func TestRefusedRequests(t *testing.T) {
	for _, c := range []struct {
		phase Phase
		verb  Verb
		says  string
	}{
		{Applying, Approve, "Git has it already"},
		{RollingBack, Reject, "being taken back already"},
		{RollingBack, Approve, "asks for no approval"},
		{Succeeded, Reject, "has ended (Succeeded)"},
		{Superseded, Approve, "has ended (Superseded)"},
		{Rejected, Reject, "rejected already"},
		{Rejected, Approve, "serin retry PIPELINE prod"},
		{RollingOut, Retry, "on the Pipeline"},
	} {
		t.Run(string(c.phase)+" "+string(c.verb), func(t *testing.T) {
			s := at(c.phase, func(s *PromotionSnapshot) { s.Request = Request{Verb: c.verb, Token: "t"} })
			plan := DecidePromotion(s, start)
			want := s.Promotion
			want.Handled = "t"
			if diff := cmp.Diff(want, plan.Record); diff != "" || plan.Action != Nothing {
				t.Errorf("action %q, record (-want +got):\n%s", plan.Action, diff)
			}
			if !strings.Contains(plan.Refused, c.says) {
				t.Errorf("refused by %q, which does not say %q", plan.Refused, c.says)
			}
		})
	}
}
