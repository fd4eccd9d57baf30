package gitrepotest

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/serin-gitops/serin/overlays"
)

// Fixture is one empty repository on a host, and ways into it.
type Fixture struct {
	// Repositories is what is under test, with no store yet.
	Repositories overlays.Repositories
	// Remote is the empty repository.
	Remote overlays.Remote
	// URL is the repository for the git command line, credentials included.
	URL string
	// Wrong is the same repository with credentials that the host refuses; nil
	// where the host lets everybody in.
	Wrong *overlays.Remote
	// Protect makes the host refuse direct commits to a branch, naming the
	// branch in its answer; nil where the host has no such rule.
	Protect func(t testing.TB, branch string)
}

// Run holds an implementation of overlays.Repository to the port's contract.
// open gives each test a repository of its own.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		test func(t *testing.T, c *conformance)
	}{
		{"Tip/facts", testTipFacts},
		{"Tip/files", testTipFiles},
		{"Tip/no branch", testTipNoBranch},
		{"Tip/follows the branch", testTipFollows},
		{"History/trailers, newest first", testHistoryTrailers},
		{"History/what is new since", testHistorySince},
		{"History/a branch that was merged late", testHistoryMerge},
		{"History/no deeper than asked", testHistoryDepth},
		{"Write/one commit", testWriteOne},
		{"Write/new, removed and executable files", testWriteShapes},
		{"Write/nothing to write", testWriteNothing},
		{"Write/the edit fails", testWriteEditFails},
		{"Write/refused edits", testWriteRefused},
		{"Write/no branch", testWriteNoBranch},
		{"Write/twenty writers", testWriteConcurrently},
		{"Write/lost race", testWriteLostRace},
		{"Write/signed", testWriteSigned},
		{"Write/protected branch", testWriteProtected},
		{"Propose/rewritten in place", testProposeRewritten},
		{"Propose/base moved", testProposeBaseMoved},
		{"Merge/fast-forward", testMergeFastForward},
		{"Merge/target moved", testMergeTargetMoved},
		{"Merge/source moved", testMergeSourceMoved},
		{"DeleteBranch", testDeleteBranch},
		{"Branches", testBranches},
		{"wrong credentials", testWrongCredentials},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			t.Cleanup(cancel)
			repository, err := f.Repositories.Open(ctx, f.Remote)
			if err != nil {
				t.Fatal(err)
			}
			test.test(t, &conformance{Fixture: f, ctx: ctx, repository: repository})
		})
	}
}

// conformance is one test's repository.
type conformance struct {
	Fixture
	ctx        context.Context
	repository overlays.Repository
}

// seeded clones, seeds branch main and returns the other writer.
func (c *conformance) seeded(t *testing.T) *Writer {
	t.Helper()
	w := NewWriter(t, c.URL)
	w.Seed("main", map[string]string{
		"README":                 "hello\n",
		"base/deployment.yaml":   "kind: Deployment\n",
		"dev/kustomization.yaml": "images: []\n",
		"run.sh*":                "#!/bin/sh\n",
	})
	return w
}

// change is a valid change of main with this edit.
func change(subject string, edit overlays.Edit) overlays.Change {
	return overlays.Change{
		Branch: "main", Subject: subject, Edit: edit,
		Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"},
		When:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// set is the edit that makes a file have this content.
func set(name, content string) overlays.Edit {
	return func(fs.FS) ([]overlays.File, error) {
		return []overlays.File{{Path: name, Content: []byte(content)}}, nil
	}
}

// add is the edit that adds a line to a file.
func add(name, line string) overlays.Edit {
	return func(tip fs.FS) ([]overlays.File, error) {
		content, err := fs.ReadFile(tip, name)
		if err != nil {
			return nil, err
		}
		return []overlays.File{{Path: name, Content: append(content, line+"\n"...)}}, nil
	}
}

// mustWrite writes a change that must come about.
func (c *conformance) mustWrite(t *testing.T, change overlays.Change) overlays.Written {
	t.Helper()
	written, err := c.repository.Write(c.ctx, change)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func (c *conformance) mustTip(t *testing.T, branch string) overlays.Tip {
	t.Helper()
	tip, err := c.repository.Tip(c.ctx, branch)
	if err != nil {
		t.Fatal(err)
	}
	return tip
}
