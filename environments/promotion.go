package environments

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Phase is how far a Promotion is. The words are those of the API.
type Phase string

// Phases of a Promotion.
const (
	Pending          Phase = "Pending"
	Writing          Phase = "Writing"
	AwaitingApproval Phase = "AwaitingApproval"
	Applying         Phase = "Applying"
	RollingOut       Phase = "RollingOut"
	Soaking          Phase = "Soaking"
	Succeeded        Phase = "Succeeded"
	Failed           Phase = "Failed"
	RollingBack      Phase = "RollingBack"
	RolledBack       Phase = "RolledBack"
	Superseded       Phase = "Superseded"
	Rejected         Phase = "Rejected"
)

// Ended says whether nothing more happens in this phase by itself.
func (p Phase) Ended() bool {
	switch p {
	case Succeeded, Failed, RolledBack, Superseded, Rejected:
		return true
	case Pending, Writing, AwaitingApproval, Applying, RollingOut, Soaking, RollingBack:
	}
	return false
}

// Proposed says whether Git does not have the change yet, so that another
// Promotion may take this one's place.
func (p Phase) Proposed() bool {
	return p == "" || p == Pending || p == Writing || p == AwaitingApproval
}

// Entry says how a Release enters an Environment.
type Entry string

// Entries.
const (
	ByCommit      Entry = "Commit"
	ByPullRequest Entry = "PullRequest"
)

// Return says what is done in Git when a Release fails.
type Return string

// Returns.
const (
	ReturnByCommit      Return = "Commit"
	ReturnByPullRequest Return = "PullRequest"
	ReturnNot           Return = "None"
)

// Environment is one overlay and how a Release enters it.
type Environment struct {
	Name string
	// After are the Environments that a Release must have succeeded in.
	After []string
	Entry Entry
	// Return is the rollback policy.
	Return Return
	// Deadline for a Release to run here from its commit on; 0 is none.
	Deadline time.Duration
	// Soak is how long a Release must have run well in each of After.
	Soak time.Duration
	// Approval wants a person's word before a commit.
	Approval bool
	Freeze   []FreezeWindow
}

// ProposalState is where a pull request stands.
type ProposalState string

// States of a pull request.
const (
	ProposalOpen   ProposalState = "Open"
	ProposalMerged ProposalState = "Merged"
	ProposalClosed ProposalState = "Closed"
)

// Proposal is a pull request, or a branch where the host has none.
type Proposal struct {
	// Branch is at Head, one commit upon Base.
	ID, URL, Branch, Head, Base string
	State                       ProposalState
	// Restores says that it takes a Release back.
	Restores bool
	// ClosedBy is who closed or merged it, where known.
	ClosedBy string
}

// Promotion is one attempt to bring one Release into one Environment, and the
// record of it.
type Promotion struct {
	Name, Environment, Release string
	// Attempt counts the Promotions of this Release into this Environment,
	// Number all of them into this Environment.
	Attempt int32
	Number  int64
	// RequestedBy names the person who asked for it against Serin's own rules;
	// Request is the token of that wish.
	RequestedBy, Request string
	Created              time.Time

	Phase   Phase
	Message string
	// Previous are the images that Git had before.
	Previous []Image
	// ApprovedBy is the person who opened the approval gate.
	ApprovedBy string
	// Commit carries it, RollbackCommit took it back.
	Commit, RollbackCommit string
	Proposal               *Proposal
	// Written is when Git was first seen to have it.
	Written time.Time
	// Clock is how much of the deadline was used up until ClockSince, which is
	// zero while the clock stands.
	Clock      time.Duration
	ClockSince time.Time
	Succeeded  time.Time
	Completed  time.Time
	Failure    string
	Evidence   []string
	// Handled is the token of the last request carried out.
	Handled string
}

// Elapsed is how much of the deadline is used up now.
func (p Promotion) Elapsed(now time.Time) time.Duration {
	if p.ClockSince.IsZero() || now.Before(p.ClockSince) {
		return p.Clock
	}
	return p.Clock + now.Sub(p.ClockSince)
}

// PromotionName is the name of an attempt. It depends on nothing else, so that
// two controllers at once make one Promotion.
func PromotionName(pipeline, environment, release string, attempt int32) string {
	short := strings.TrimPrefix(release, pipeline+"-")
	return fmt.Sprintf("%s-%s-%s-%d", pipeline, environment, short, attempt)
}

// Compare orders Promotions by their age, the oldest first.
func (p Promotion) Compare(o Promotion) int {
	return cmp.Or(cmp.Compare(p.Number, o.Number), p.Created.Compare(o.Created), cmp.Compare(p.Name, o.Name))
}

// into returns the Promotions into an Environment, the newest first.
func into(promotions []Promotion, environment string) []Promotion {
	var found []Promotion
	for _, promotion := range promotions {
		if promotion.Environment == environment {
			found = append(found, promotion)
		}
	}
	slices.SortFunc(found, func(a, b Promotion) int { return b.Compare(a) })
	return found
}

// Rivals returns the newest Promotion into the same Environment that is newer
// than p, and the oldest older one that has not ended; nil where there is none.
func Rivals(p Promotion, all []Promotion) (newer, older *Promotion) {
	for _, other := range into(all, p.Environment) {
		switch {
		case other.Name == p.Name:
		case other.Compare(p) > 0:
			if newer == nil {
				newer = &other
			}
		case !other.Phase.Ended():
			older = &other
		}
	}
	return newer, older
}
