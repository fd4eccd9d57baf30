// Package forgetest is the conformance suite of forge.Host: what every
// implementation has to do, run against a real server.
package forgetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/forge"
)

// Fixture is one empty deploy repository on a real server and the Host to try.
type Fixture struct {
	Host forge.Host
	// Denied is the same Host with credentials that are wrong, and Secret the
	// wrong password or token, which no error may hold.
	Denied forge.Host
	Secret string
	// Target is the branch that pull requests go to.
	Target string
	// Propose writes the branch source anew: the target's tip and one commit
	// upon it that changes one file, the same for every source. It returns the
	// commit.
	Propose func(t *testing.T, source, title, body string) string
	// Conflict commits to the target as somebody else, changing the file that
	// Propose changes.
	Conflict func(t *testing.T)
	// Holds says whether the target's history has a commit.
	Holds func(t *testing.T, commit string) bool
	// Remembers is true where pull requests that were closed or merged can
	// still be found.
	Remembers bool
}

// Run tries the Host that fixture gives; each test gets a new one.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		run  func(t *testing.T, f Fixture)
	}{
		{"what is not there is not found", testNotFound},
		{"a pull request is created and found", testCreate},
		{"creating it again updates it", testCreateTwice},
		{"a newer head and text show", testUpdate},
		{"a pull request needs its branch", testNoBranch},
		{"closing is final and may be repeated", testClose},
		{"a closed one makes room for another", testReopen},
		{"merging moves the target", testMerge},
		{"a head that moved is not merged", testMergeMoved},
		{"a conflict is not merged", testMergeConflict},
		{"wrong credentials are named, not shown", testDenied},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, fixture(t)) })
	}
}

const source = "serin/web/staging"

// open proposes and creates a pull request.
func open(t *testing.T, f Fixture, title string) forge.PullRequest {
	t.Helper()
	head := f.Propose(t, source, title, "Because of "+title+".")
	pr, err := f.Host.Create(t.Context(), draft(f, title))
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	if pr.Head != head || pr.State != forge.Open {
		t.Fatalf("created %+v, want it open at %s", pr, head)
	}
	return pr
}

func draft(f Fixture, title string) forge.Draft {
	return forge.Draft{Source: source, Target: f.Target, Title: title, Body: "Because of " + title + "."}
}

// essence is what of a pull request is the same for every host.
func essence(pr forge.PullRequest) forge.PullRequest {
	return forge.PullRequest{
		ID: pr.ID, State: pr.State, Head: pr.Head,
		Draft: forge.Draft{Source: pr.Source, Target: pr.Target, Title: pr.Title, Body: strings.TrimSpace(pr.Body)},
	}
}

func expect(t *testing.T, what string, got forge.PullRequest, err error, want forge.PullRequest) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(essence(want), essence(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// expectEnded checks that a pull request shows as state, or is not found where
// the host forgets.
func expectEnded(t *testing.T, f Fixture, pr forge.PullRequest, state forge.State) {
	t.Helper()
	byID, errID := f.Host.Get(t.Context(), pr.ID)
	byBranch, errBranch := f.Host.Find(t.Context(), pr.Source, pr.Target)
	if !f.Remembers {
		if !errors.Is(errID, forge.ErrNotFound) || !errors.Is(errBranch, forge.ErrNotFound) {
			t.Errorf("after the end Get says %v and Find says %v, want ErrNotFound", errID, errBranch)
		}
		return
	}
	if errID != nil || errBranch != nil {
		t.Fatalf("after the end: Get: %v, Find: %v", errID, errBranch)
	}
	if byID.State != state || byBranch.State != state || byBranch.ID != pr.ID {
		t.Errorf("after the end Get gives %s, Find %s (%s), want %s", byID.State, byBranch.State, byBranch.ID, state)
	}
}

func testNotFound(t *testing.T, f Fixture) {
	if _, err := f.Host.Find(t.Context(), source, f.Target); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("Find: %v, want ErrNotFound", err)
	}
	if _, err := f.Host.Get(t.Context(), "999999"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
}

func testCreate(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	want := forge.PullRequest{ID: pr.ID, Head: pr.Head, State: forge.Open, Draft: draft(f, "Promote 1.0.0")}
	expect(t, "Create", pr, nil, want)
	got, err := f.Host.Get(t.Context(), pr.ID)
	expect(t, "Get", got, err, want)
	got, err = f.Host.Find(t.Context(), source, f.Target)
	expect(t, "Find", got, err, want)
}

func testCreateTwice(t *testing.T, f Fixture) {
	first := open(t, f, "Promote 1.0.0")
	second := open(t, f, "Promote 1.1.0")
	if first.ID != second.ID {
		t.Errorf("a second pull request %s was opened beside %s", second.ID, first.ID)
	}
	got, err := f.Host.Get(t.Context(), first.ID)
	expect(t, "Get", got, err, forge.PullRequest{ID: first.ID, Head: second.Head, State: forge.Open, Draft: draft(f, "Promote 1.1.0")})
}

func testUpdate(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	head := f.Propose(t, source, "Promote 1.1.0", "Because of Promote 1.1.0.")
	got, err := f.Host.Update(t.Context(), pr.ID, draft(f, "Promote 1.1.0"))
	expect(t, "Update", got, err, forge.PullRequest{ID: pr.ID, Head: head, State: forge.Open, Draft: draft(f, "Promote 1.1.0")})
}

func testNoBranch(t *testing.T, f Fixture) {
	if pr, err := f.Host.Create(t.Context(), draft(f, "Promote 1.0.0")); err == nil {
		t.Errorf("a pull request without a branch was created: %+v", pr)
	}
}

func testClose(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	for range 2 {
		if err := f.Host.Close(t.Context(), pr.ID, "Superseded by 1.1.0."); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	expectEnded(t, f, pr, forge.Closed)
	if f.Holds(t, pr.Head) {
		t.Error("the target holds what was closed")
	}
}

func testReopen(t *testing.T, f Fixture) {
	first := open(t, f, "Promote 1.0.0")
	if err := f.Host.Close(t.Context(), first.ID, "No."); err != nil {
		t.Fatalf("Close: %v", err)
	}
	second := open(t, f, "Promote 1.1.0")
	got, err := f.Host.Find(t.Context(), source, f.Target)
	expect(t, "Find", got, err, second)
}

func testMerge(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	merged, err := f.Host.Merge(t.Context(), pr.ID, pr.Head)
	if err != nil {
		t.Fatalf("Merge: %v", err)
	}
	if merged.State != forge.Merged || merged.MergedAs == "" {
		t.Errorf("merged as %+v", merged)
	}
	if !f.Holds(t, merged.MergedAs) || !f.Holds(t, pr.Head) {
		t.Errorf("the target lacks %s or %s", merged.MergedAs, pr.Head)
	}
	expectEnded(t, f, pr, forge.Merged)
}

func testMergeMoved(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	head := f.Propose(t, source, "Promote 1.1.0", "Because.")
	if _, err := f.Host.Merge(t.Context(), pr.ID, pr.Head); !errors.Is(err, forge.ErrNotMergeable) {
		t.Errorf("Merge of a head that moved: %v, want ErrNotMergeable", err)
	}
	if f.Holds(t, pr.Head) || f.Holds(t, head) {
		t.Error("the target holds a head that nobody approved")
	}
}

func testMergeConflict(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	f.Conflict(t)
	if _, err := f.Host.Merge(t.Context(), pr.ID, pr.Head); !errors.Is(err, forge.ErrNotMergeable) {
		t.Errorf("Merge: %v, want ErrNotMergeable", err)
	}
	got, err := f.Host.Get(t.Context(), pr.ID)
	expect(t, "Get", got, err, pr)
}

func testDenied(t *testing.T, f Fixture) {
	pr := open(t, f, "Promote 1.0.0")
	_, findErr := f.Denied.Find(t.Context(), source, f.Target)
	_, createErr := f.Denied.Create(t.Context(), draft(f, "Promote 1.0.0"))
	_, mergeErr := f.Denied.Merge(t.Context(), pr.ID, pr.Head)
	for call, err := range map[string]error{
		"Find": findErr, "Create": createErr, "Merge": mergeErr,
		"Close": f.Denied.Close(t.Context(), pr.ID, "No."),
	} {
		if !errors.Is(err, forge.ErrUnauthorized) {
			t.Errorf("%s: %v, want ErrUnauthorized", call, err)
		}
		if err != nil && strings.Contains(err.Error(), f.Secret) {
			t.Errorf("%s: the error holds the secret", call)
		}
	}
}
