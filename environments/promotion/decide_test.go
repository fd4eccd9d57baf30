package promotion

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
)

// at is a snapshot of v2 on its way from v1 in this phase.
func at(phase environments.Phase, change func(*Snapshot)) Snapshot {
	v1, v2 := rel(1, "v1"), rel(2, "v2")
	s := Snapshot{
		Environment: environments.Environment{Name: "prod", Entry: environments.ByPullRequest, Return: environments.ReturnByCommit, Deadline: 30 * time.Minute},
		Release:     v2,
		Promotion:   promo("prod", v2, 2, phase),
		Git:         Git{Known: true, Tip: "tip", Images: v1.Images},
	}
	s.Promotion.Previous = v1.Images
	switch phase {
	case environments.AwaitingApproval, environments.Rejected:
		s.Promotion.Proposal = &environments.Proposal{ID: "7", Branch: "serin/app/prod", State: environments.ProposalOpen, Base: "base"}
		s.Proposal = &environments.Proposal{ID: "7", Branch: "serin/app/prod", State: environments.ProposalOpen}
	case environments.Applying, environments.RollingOut, environments.Soaking, environments.RollingBack:
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
	none := func(*Snapshot) {}
	quarantine := func(s *Snapshot) {
		s.Rejected = v2.Images
		s.Promotion.Failure = "bad"
	}
	for _, c := range []struct {
		name   string
		s      Snapshot
		phase  environments.Phase
		action Action
		says   string
	}{
		{"pending: goes to write", at(environments.Pending, none), environments.Writing, Nothing, ""},
		{"pending: a new one", at("", none), environments.Writing, Nothing, ""},
		{"pending: older one", at(environments.Pending, func(s *Snapshot) { s.Older = "x" }), environments.Pending, Nothing, "waits for Promotion x"},
		{"pending: newer one", at(environments.Pending, func(s *Snapshot) { s.Newer = "x" }), environments.Superseded, Nothing, "x"},
		{"pending: Git unknown", at(environments.Pending, func(s *Snapshot) { s.Git = Git{} }), environments.Pending, Nothing, "Git"},
		{"pending: frozen", at(environments.Pending, func(s *Snapshot) {
			s.Environment.Freeze = []environments.FreezeWindow{{Start: "0 8 * * *", Duration: 4 * time.Hour, Reason: "launch"}}
		}), environments.Pending, Nothing, "frozen until 2026-03-02T12:00:00Z (launch)"},
		{"pending: rejected image", at(environments.Pending, func(s *Snapshot) { s.Rejected = v2.Images }), environments.Failed, Nothing, "was rejected"},
		{"pending: rejected image, forced", at(environments.Pending, func(s *Snapshot) { s.Rejected, s.Promotion.RequestedBy = v2.Images, "ann" }), environments.Writing, Nothing, ""},
		{"pending: approval", at(environments.Pending, func(s *Snapshot) { s.Environment.Entry, s.Environment.Approval = environments.ByCommit, true }), environments.Pending, Nothing, "serin approve"},
		{"pending: approved", at(environments.Pending, func(s *Snapshot) {
			s.Environment.Entry, s.Environment.Approval, s.Promotion.ApprovedBy = environments.ByCommit, true, "ann"
		}), environments.Writing, Nothing, ""},
		{"pending: Git has it", at(environments.Pending, func(s *Snapshot) { s.Git.Images = v2.Images }), environments.Applying, Nothing, "Git has"},
		{"writing: commit", at(environments.Writing, func(s *Snapshot) { s.Environment.Entry = environments.ByCommit }), environments.Applying, WriteCommit, ""},
		{"writing: proposal", at(environments.Writing, none), environments.AwaitingApproval, WriteProposal, ""},
		{"writing: frozen since the Git host was away", at(environments.Writing, func(s *Snapshot) {
			s.Environment.Freeze = []environments.FreezeWindow{{Start: "0 8 * * *", Duration: 4 * time.Hour, Reason: "launch"}}
		}), environments.Writing, Nothing, "frozen until 2026-03-02T12:00:00Z (launch)"},
		{"writing: frozen, and a person asked for it", at(environments.Writing, func(s *Snapshot) {
			s.Environment.Freeze, s.Promotion.RequestedBy = []environments.FreezeWindow{{Start: "0 8 * * *", Duration: 4 * time.Hour}}, "ann"
		}), environments.AwaitingApproval, WriteProposal, ""},
		{"writing: landed before a crash", at(environments.Writing, func(s *Snapshot) { s.Git.Images = v2.Images }), environments.Applying, Nothing, ""},
		{"writing: others changed the images", at(environments.Writing, func(s *Snapshot) { s.Git.Images = []environments.Image{img("v0")} }), environments.Writing, Nothing, "other images"},
		{"awaiting: waits", at(environments.AwaitingApproval, none), environments.AwaitingApproval, Nothing, "waits for approval"},
		{"awaiting: merged", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Git.Images, s.Proposal.State = v2.Images, environments.ProposalMerged
		}), environments.Applying, Nothing, ""},
		{"awaiting: merged by git and the branch deleted", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Git.Images, s.Proposal.State = v2.Images, environments.ProposalClosed
		}), environments.Applying, Nothing, ""},
		{"awaiting: closed", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Proposal.State, s.Proposal.ClosedBy = environments.ProposalClosed, "ann"
		}), environments.Rejected, Nothing, "ann closed"},
		{"awaiting: newer", at(environments.AwaitingApproval, func(s *Snapshot) { s.Newer = "x" }), environments.Superseded, Nothing, ""},
		{"awaiting: merged and newer", at(environments.AwaitingApproval, func(s *Snapshot) { s.Newer, s.Git.Images = "x", v2.Images }), environments.Applying, Nothing, ""},
		{"awaiting: host away", at(environments.AwaitingApproval, func(s *Snapshot) { s.Proposal = nil }), environments.AwaitingApproval, Nothing, "host"},
		{"awaiting: approve", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Request = environments.Request{Verb: environments.Approve, By: "ann", Token: "t"}
		}), environments.AwaitingApproval, Nothing, "approved by ann"},
		{"awaiting: approved", at(environments.AwaitingApproval, func(s *Snapshot) { s.Promotion.ApprovedBy = "ann" }), environments.AwaitingApproval, MergeProposal, ""},
		{"awaiting: reject", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Request = environments.Request{Verb: environments.Reject, By: "ann", Reason: "no", Token: "t"}
		}), environments.Rejected, CloseProposal, "rejected by ann: no"},
		{"awaiting: quarantined meanwhile", at(environments.AwaitingApproval, func(s *Snapshot) { s.Rejected = v2.Images }), environments.Failed, CloseProposal, ""},
		{"awaiting: Git moved on", at(environments.AwaitingApproval, func(s *Snapshot) { s.Git.Images = []environments.Image{img("v0")} }), environments.Writing, Nothing, ""},
		{"rejected: stays", at(environments.Rejected, func(s *Snapshot) { s.Proposal.State = environments.ProposalClosed }), environments.Rejected, Nothing, ""},
		{"rejected: opened again", at(environments.Rejected, none), environments.AwaitingApproval, Nothing, "again"},
		{"applying: open pull request is closed", at(environments.Applying, func(s *Snapshot) {
			s.Promotion.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalOpen}
			s.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalOpen}
		}), environments.Applying, RemoveProposal, ""},
		{"applying: a branch that is gone is not removed", at(environments.Applying, func(s *Snapshot) {
			s.Promotion.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalOpen}
			s.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalClosed}
		}), environments.Applying, Nothing, ""},
		{"applying: a branch that somebody went on with is not removed", at(environments.Applying, func(s *Snapshot) {
			s.Promotion.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalOpen, Head: "ours"}
			s.Proposal = &environments.Proposal{ID: "7", State: environments.ProposalOpen, Head: "theirs"}
		}), environments.Applying, Nothing, ""},
		{"applying: stale", at(environments.Applying, func(s *Snapshot) {
			s.Workloads, s.Sync = workloads(WorkloadReady, WorkloadStale), "no such path"
		}), environments.Applying, Nothing, "sync fails: no such path; Deployment app/web"},
		{"applying: rolling", at(environments.Applying, func(s *Snapshot) { s.Workloads = workloads(WorkloadReady, WorkloadRolling) }), environments.RollingOut, Nothing, ""},
		{"rolling: baking", at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadReady, WorkloadBaking) }), environments.Soaking, Nothing, ""},
		{"rolling: ready", at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadReady) }), environments.Succeeded, Nothing, "runs well: 1"},
		{"rolling: failed", at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadReady, WorkloadFailed) }), environments.RollingBack, Nothing, "failed: Deployment app/web"},
		{"rolling: person", at(environments.RollingOut, func(s *Snapshot) { s.Git.Images = []environments.Image{img("v0")} }), environments.Superseded, Nothing, "a person changed Git"},
		{"rolling: deadline", at(environments.RollingOut, func(s *Snapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-30*time.Minute), workloads(WorkloadRolling)
		}), environments.RollingBack, Nothing, "deadline"},
		{"rolling: ready after the deadline, which nobody looked at meanwhile", at(environments.RollingOut, func(s *Snapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-3*time.Hour), workloads(WorkloadReady)
		}), environments.Succeeded, Nothing, "runs well"},
		{"rolling: baking after the deadline", at(environments.RollingOut, func(s *Snapshot) {
			s.Promotion.ClockSince, s.Workloads = start.Add(-3*time.Hour), workloads(WorkloadReady, WorkloadBaking)
		}), environments.Soaking, Nothing, "is watched"},
		{"awaiting: approved, and somebody pushed to the branch", at(environments.AwaitingApproval, func(s *Snapshot) {
			s.Promotion.ApprovedBy, s.Promotion.Proposal.Head, s.Proposal.Head = "ann", "ours", "theirs"
		}), environments.AwaitingApproval, Nothing, "theirs"},
		{"rolling back: approved, and somebody pushed to the branch", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = environments.ReturnByPullRequest, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen, Head: "ours"}
			s.Proposal, s.Request = &environments.Proposal{ID: "8", State: environments.ProposalOpen, Head: "theirs"}, environments.Request{Verb: environments.Approve, By: "ann", Token: "t"}
		}), environments.RollingBack, Nothing, "theirs"},
		{"rolling back: quarantine first", at(environments.RollingBack, func(s *Snapshot) { s.Promotion.Failure = "bad" }), environments.RollingBack, QuarantineRelease, "bad"},
		{"rolling back: then Git", at(environments.RollingBack, quarantine), environments.RolledBack, RestoreByCommit, "back at app:v1@111111111111"},
		{"rolling back: Git away", at(environments.RollingBack, func(s *Snapshot) { quarantine(s); s.Git = Git{} }), environments.RollingBack, Nothing, "Waits for Git"},
		{"rolling back: none", at(environments.RollingBack, func(s *Snapshot) { quarantine(s); s.Environment.Return = environments.ReturnNot }), environments.Failed, Nothing, "None"},
		{"rolling back: a person was faster", at(environments.RollingBack, func(s *Snapshot) { quarantine(s); s.Git.Images = []environments.Image{img("v0")} }), environments.RolledBack, Nothing, ""},
		{"rolling back: protected", at(environments.RollingBack, func(s *Snapshot) { quarantine(s); s.Protected = true }), environments.RollingBack, RestoreByProposal, "refuses commits"},
		{"rolling back: asked", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = environments.ReturnByPullRequest, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
		}), environments.RollingBack, Nothing, "Waits for the pull request"},
		{"rolling back: refused by a person", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Environment.Return, s.Promotion.Proposal = environments.ReturnByPullRequest, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
			s.Proposal = &environments.Proposal{ID: "8", State: environments.ProposalClosed}
		}), environments.Failed, Nothing, "closed the pull request"},
		{"rolling back: the image before was rejected too", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Rejected = append(s.Rejected, img("v1"))
		}), environments.Failed, Nothing, "no image to restore"},
		{"rolling back: superseded, and its pull request is closed", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Newer, s.Environment.Return = "x", environments.ReturnByPullRequest
			s.Promotion.Proposal, s.Proposal = &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
		}), environments.Superseded, CloseProposal, "Promotion x"},
		{"rolling back: superseded, and the host is away", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Newer, s.Environment.Return = "x", environments.ReturnByPullRequest
			s.Promotion.Proposal = &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
		}), environments.RollingBack, Nothing, "waits for the Git host"},
		{"rolling back: a person was faster than the pull request", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Git.Images = []environments.Image{img("v0")}
			s.Promotion.Proposal, s.Proposal = &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
		}), environments.RollingBack, RemoveProposal, ""},
		{"rolling back: nothing to restore any more, and its pull request is closed", at(environments.RollingBack, func(s *Snapshot) {
			quarantine(s)
			s.Rejected = append(s.Rejected, img("v1"))
			s.Promotion.Proposal, s.Proposal = &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}, &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen}
		}), environments.Failed, CloseProposal, "no image to restore"},
		{"applying: reject", at(environments.Applying, func(s *Snapshot) {
			s.Request = environments.Request{Verb: environments.Reject, By: "ann", Reason: "no", Token: "t"}
		}), environments.RollingBack, Nothing, "failed: rejected by ann: no"},
		{"soaking: reject", at(environments.Soaking, func(s *Snapshot) {
			s.Request, s.Workloads = environments.Request{Verb: environments.Reject, By: "ann", Token: "t"}, workloads(WorkloadBaking)
		}), environments.RollingBack, Nothing, "failed: rejected by ann"},
		{"pending: reject while an older one is under way", at(environments.Pending, func(s *Snapshot) {
			s.Older, s.Request = "x", environments.Request{Verb: environments.Reject, By: "ann", Token: "t"}
		}), environments.Rejected, Nothing, "rejected by ann"},
		{"rolling back: nothing was changed", at(environments.RollingBack, func(s *Snapshot) { s.Promotion.Previous = v2.Images }), environments.Failed, Nothing, "nothing to restore"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := DecidePromotion(c.s, start.Add(time.Minute))
			if plan.Record.Phase != c.phase || plan.Action != c.action {
				t.Errorf("phase %s, action %q; want %s, %q (%s)", plan.Record.Phase, plan.Action, c.phase, c.action, plan.Record.Message)
			}
			if !strings.Contains(plan.Record.Message, c.says) {
				t.Errorf("message %q does not say %q", plan.Record.Message, c.says)
			}
			if plan.Record.Phase.Ended() == plan.Record.Completed.IsZero() && c.s.Promotion.Phase != environments.Rejected {
				t.Errorf("phase %s, completed %s", plan.Record.Phase, plan.Record.Completed)
			}
		})
	}
}

// A clock that stands while a Rollout is paused does not use up the deadline.
func TestDeadlineStandsWhilePaused(t *testing.T) {
	s := at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadRolling) })
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
	if s.Promotion.Phase != environments.RollingOut {
		t.Fatalf("phase %s after 29 minutes of 30: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	step(2*time.Minute, false)
	if s.Promotion.Phase != environments.RollingBack {
		t.Fatalf("phase %s after 31 minutes of 30", s.Promotion.Phase)
	}
}

// A workload without room for its pods holds the Promotion for as long as that
// lasts, and says so; one that fails beside it counts.
func TestLackOfRoomHolds(t *testing.T) {
	s := at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadRolling, WorkloadReady) })
	s.Workloads[0].Stopped, s.Workloads[0].Held = true, "NoRoom"
	for day := range time.Duration(3) {
		plan := DecidePromotion(s, start.Add(day*24*time.Hour))
		if plan.Record.Phase != environments.RollingOut || plan.Held != "NoRoom" {
			t.Fatalf("day %d: %s, held %q: %s", day, plan.Record.Phase, plan.Held, plan.Record.Message)
		}
		s.Promotion = plan.Record
	}
	s.Workloads[1].State = WorkloadFailed
	if plan := DecidePromotion(s, start.Add(72*time.Hour)); plan.Record.Phase != environments.RollingBack || plan.Held != "" {
		t.Errorf("%s, held %q; want it taken back", plan.Record.Phase, plan.Held)
	}
}

// Only what the Promotion brought and nobody changed since is restored.
func TestRestoreLeavesWhatOthersChanged(t *testing.T) {
	other := func(tag string) environments.Image { return environments.Image{Repository: "registry/other", Tag: tag} }
	s := at(environments.RollingBack, func(s *Snapshot) {
		s.Release.Images = []environments.Image{img("v2"), other("b2"), {Repository: "registry/same", Tag: "s"}}
		s.Promotion.Previous = []environments.Image{img("v1"), other("b1"), {Repository: "registry/same", Tag: "s"}}
		s.Git.Images = []environments.Image{img("v2"), other("b3"), {Repository: "registry/same", Tag: "s"}}
		s.Rejected = []environments.Image{img("v2"), other("b2")}
	})
	plan := DecidePromotion(s, start)
	if diff := cmp.Diff([]environments.Image{img("v1")}, plan.Images); diff != "" || plan.Action != RestoreByCommit {
		t.Errorf("%s %s", plan.Action, diff)
	}
}

func TestNotMergeable(t *testing.T) {
	s := at(environments.AwaitingApproval, func(*Snapshot) {})
	if plan := NotMergeable(s, "conflict"); plan.Record.Phase != environments.Writing {
		t.Errorf("the branch moved, phase %s", plan.Record.Phase)
	}
	s.Promotion.Proposal.Base = s.Git.Tip
	if plan := NotMergeable(s, "checks"); plan.Record.Phase != environments.AwaitingApproval {
		t.Errorf("the branch did not move, phase %s", plan.Record.Phase)
	}
}

// A pull request that restores Git is written anew as well where the branch has
// moved: else it could never be merged.
func TestNotMergeableRollback(t *testing.T) {
	s := at(environments.RollingBack, func(s *Snapshot) {
		s.Environment.Return, s.Rejected = environments.ReturnByPullRequest, s.Release.Images
		s.Promotion.Failure = "bad"
		s.Promotion.Proposal = &environments.Proposal{ID: "8", Restores: true, State: environments.ProposalOpen, Base: "old"}
	})
	s.Promotion = NotMergeable(s, "the target has moved on").Record
	if plan := DecidePromotion(s, start); plan.Action != RestoreByProposal {
		t.Errorf("the branch moved: action %q, want %q (%s)", plan.Action, RestoreByProposal, plan.Record.Message)
	}
}

// What somebody pushed to the proposal's branch stays known as not Serin's own,
// however often it is looked at.
func TestForeignHeadIsNotTakenForOurs(t *testing.T) {
	s := at(environments.AwaitingApproval, func(s *Snapshot) { s.Promotion.Proposal.Head, s.Proposal.Head = "ours", "theirs" })
	s.Promotion = DecidePromotion(s, start).Record
	s.Promotion.ApprovedBy = "ann"
	if plan := DecidePromotion(s, start); plan.Action != Nothing {
		t.Errorf("action %q on a branch that others wrote", plan.Action)
	}
}

// What is used up of the deadline is in the record while it runs: a new process
// goes on from there, and does not begin anew.
func TestDeadlineSurvivesRestarts(t *testing.T) {
	s := at(environments.RollingOut, func(s *Snapshot) {
		s.Workloads, s.Patience = workloads(WorkloadRolling), 4*time.Minute
	})
	now := start
	for s.Promotion.Phase == environments.RollingOut && now.Sub(start) < time.Hour {
		now = now.Add(2*time.Second + 300*time.Millisecond)
		s.Promotion = DecidePromotion(s, now).Record
		// The record as the API server keeps it, read by a new process.
		s.Promotion.ClockSince = s.Promotion.ClockSince.Truncate(time.Second)
		s.Promotion.Clock = s.Promotion.Clock.Round(time.Second)
		if used := s.Promotion.Elapsed(now); used > now.Sub(start)+time.Second || now.Sub(start)-used > 2*time.Second {
			t.Fatalf("%s of the deadline are used up after %s", used, now.Sub(start))
		}
		if open := now.Sub(s.Promotion.ClockSince); s.Promotion.Phase == environments.RollingOut && open > checkpoint+4*time.Second {
			t.Fatalf("the record is %s old", open)
		}
	}
	if took := now.Sub(start); s.Promotion.Phase != environments.RollingBack || took < 30*time.Minute || took > 31*time.Minute {
		t.Errorf("phase %s after %s of 30 minutes", s.Promotion.Phase, took)
	}
}

// Time in which nobody looked does not use up the deadline: Serin was down, or
// the API server was.
func TestDeadlineCountsWatchedTimeOnly(t *testing.T) {
	s := at(environments.RollingOut, func(s *Snapshot) { s.Workloads = workloads(WorkloadRolling) })
	s.Promotion.Clock, s.Patience = 10*time.Minute, 4*time.Minute
	now := start.Add(5 * time.Hour)
	plan := DecidePromotion(s, now)
	if plan.Record.Phase != environments.RollingOut {
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
	if plan.Record.Phase != environments.RollingBack {
		t.Errorf("phase %s after 31 watched minutes of 30", plan.Record.Phase)
	}
}

// While what applies Git is suspended, and the cluster has not got the Release
// for that, the deadline's clock stands; once the objects have it, it runs.
func TestDeadlineStandsWhileSyncIsSuspended(t *testing.T) {
	s := at(environments.Applying, func(s *Snapshot) {
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
	if s.Promotion.Phase != environments.Applying || !strings.Contains(s.Promotion.Message, "Kustomization flux-system/app is suspended") {
		t.Fatalf("phase %s after 5 suspended hours: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	s.Workloads = workloads(WorkloadReady, WorkloadRolling)
	run(28)
	if s.Promotion.Phase != environments.RollingOut {
		t.Fatalf("phase %s: %s", s.Promotion.Phase, s.Promotion.Message)
	}
	run(4)
	if s.Promotion.Phase != environments.RollingBack {
		t.Errorf("phase %s: the clock does not run while pods roll, whatever the sync", s.Promotion.Phase)
	}
}

// A request that cannot be carried out is refused with its reason, once, and
// leaves the Promotion as it is.
func TestRefusedRequests(t *testing.T) {
	for _, c := range []struct {
		phase environments.Phase
		verb  environments.Verb
		says  string
	}{
		{environments.Applying, environments.Approve, "Git has it already"},
		{environments.RollingBack, environments.Reject, "being taken back already"},
		{environments.RollingBack, environments.Approve, "asks for no approval"},
		{environments.Succeeded, environments.Reject, "has ended (Succeeded)"},
		{environments.Superseded, environments.Approve, "has ended (Superseded)"},
		{environments.Rejected, environments.Reject, "rejected already"},
		{environments.Rejected, environments.Approve, "serin retry PIPELINE prod"},
		{environments.RollingOut, environments.Retry, "on the Pipeline"},
	} {
		t.Run(string(c.phase)+" "+string(c.verb), func(t *testing.T) {
			s := at(c.phase, func(s *Snapshot) { s.Request = environments.Request{Verb: c.verb, Token: "t"} })
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
