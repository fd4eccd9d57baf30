package convert

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
)

// What a status keeps of a record is the record.
func TestRecordIsKept(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	want := environments.Promotion{
		Name: "p", Environment: "prod", Release: "r", Attempt: 2, Number: 3, RequestedBy: "ann", Request: "retry/prod@1",
		Phase: environments.RollingBack, Message: "m",
		Previous:   []environments.Image{{Repository: "a", Tag: "v1", Digest: "sha256:1"}},
		ApprovedBy: "bob", Commit: "c", RollbackCommit: "d",
		Proposal: &environments.Proposal{ID: "1", URL: "u", Branch: "b", Head: "h", Base: "e", State: environments.ProposalOpen, Restores: true, ClosedBy: "z"},
		Written:  at, Clock: time.Minute, ClockSince: at, Succeeded: at, Completed: at,
		Failure: "f", Evidence: []string{"one"}, Handled: "h",
	}
	object := v1alpha1.Promotion{Spec: v1alpha1.PromotionSpec{Environment: "prod", Release: "r", Attempt: 2, Number: 3, RequestedBy: "ann", Request: "retry/prod@1"}}
	object.Name = "p"
	Record(want, &object.Status)
	if diff := cmp.Diff(want, Promotion(object)); diff != "" {
		t.Error(diff)
	}
}

func TestAfterDefaultsToTheEnvironmentBefore(t *testing.T) {
	none := []string{}
	spec := v1alpha1.PipelineSpec{Environments: []v1alpha1.Environment{{Name: "dev"}, {Name: "staging"}, {Name: "eu", After: &none}}}
	var got [][]string
	for _, e := range Environments(spec) {
		got = append(got, e.After)
	}
	if diff := cmp.Diff([][]string{nil, {"dev"}, {}}, got); diff != "" {
		t.Error(diff)
	}
}
