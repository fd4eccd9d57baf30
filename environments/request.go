package environments

import (
	"fmt"
	"strings"
	"time"
)

// Verb is what a person asks for.
type Verb string

// Verbs of requests. Approve and Reject are written on a Promotion, the others
// on a Pipeline.
const (
	// Approve opens the approval gate, or merges the pull request.
	Approve Verb = "approve"
	// Reject closes the pull request and ends the Promotion.
	Reject Verb = "reject"
	// Resume/ENVIRONMENT ends a hold.
	Resume Verb = "resume"
	// Retry/ENVIRONMENT tries the Release that failed or was rejected last
	// there once more.
	Retry Verb = "retry"
	// Promote/ENVIRONMENT/RELEASE brings this Release there, even if it is older
	// or was rejected.
	Promote Verb = "promote"
)

// Request is a person's wish, as the annotation serin.dev/request holds it:
// verb, arguments after slashes, and the time after "@", such as
// "resume/prod@2026-01-02T15:04:05Z". The time makes a wish said twice two.
type Request struct {
	Verb        Verb
	Environment string
	Release     string
	// Token is the annotation's whole value.
	Token string
	// By and Reason are as the person gave them.
	By, Reason string
}

// Bounds of what the record of a Promotion holds of a request, in characters.
const (
	maxRequest = 1024
	maxPerson  = 256
)

// person is a name cut to what a record holds.
func person(name string) string {
	runes := []rune(name)
	return string(runes[:min(len(runes), maxPerson)])
}

// Refusal says why a request cannot be carried out on a Promotion as it is;
// empty where it can, or where nothing is asked.
func Refusal(verb Verb, p Promotion) string {
	switch {
	case verb == "" || p.Phase.Proposed():
		return ""
	case verb != Approve && verb != Reject:
		return fmt.Sprintf("a Promotion takes approve and reject; write %s on the Pipeline", verb)
	case p.Phase == Rejected && verb == Reject:
		return "it is rejected already"
	case p.Phase == Rejected:
		return fmt.Sprintf("it was rejected; \"serin retry PIPELINE %s\" tries it again", p.Environment)
	case p.Phase.Ended():
		return fmt.Sprintf("it has ended (%s), so there is nothing to %s; \"serin promote PIPELINE %s RELEASE\" brings another Release", p.Phase, verb, p.Environment)
	case p.Phase == RollingBack && verb == Reject:
		return "it is being taken back already; to leave Git as it is, close the rollback's pull request where there is one"
	case p.Phase == RollingBack && (p.Proposal == nil || !p.Proposal.Restores):
		return "it is being taken back, and asks for no approval"
	case p.Phase != RollingBack && verb == Approve:
		return "Git has it already, so there is nothing to approve"
	}
	return ""
}

// NewRequest writes the annotation's value.
func NewRequest(verb Verb, at time.Time, arguments ...string) string {
	words := append([]string{string(verb)}, arguments...)
	return strings.Join(words, "/") + "@" + at.UTC().Format(time.RFC3339Nano)
}

// ParseRequest reads the annotation's value; the empty one is no request.
func ParseRequest(value string) (Request, error) {
	if value == "" {
		return Request{}, nil
	}
	if len(value) > maxRequest {
		return Request{Token: value}, fmt.Errorf("request %q...: it has %d characters, more than the %d that a request may have", value[:32], len(value), maxRequest)
	}
	words, _, _ := strings.Cut(value, "@")
	parts := strings.Split(words, "/")
	request := Request{Verb: Verb(parts[0]), Token: value}
	wanted := 0
	switch request.Verb {
	case Approve, Reject:
	case Resume, Retry:
		wanted = 1
	case Promote:
		wanted = 2
	default:
		return Request{Token: value}, fmt.Errorf("request %q: %q is unknown; use approve, reject, resume, retry or promote", value, parts[0])
	}
	if len(parts)-1 != wanted {
		return Request{Token: value}, fmt.Errorf("request %q: %s takes %d arguments after slashes, not %d", value, request.Verb, wanted, len(parts)-1)
	}
	if wanted > 0 {
		request.Environment = parts[1]
	}
	if wanted > 1 {
		request.Release = parts[2]
	}
	return request, nil
}
