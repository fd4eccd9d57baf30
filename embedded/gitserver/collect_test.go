package gitserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const later = 15 * 24 * time.Hour

func collect(t *testing.T, s served, after time.Duration) Collection {
	t.Helper()
	done, err := s.Collect(t.Context(), time.Now().Add(after))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// has says whether the repository has an object.
func (s served) has(t *testing.T, hash string) bool {
	t.Helper()
	_, err := git(s.path("acme/deploy"), "cat-file", "-e", hash)
	return err == nil
}

// whole wants git itself to find the repository whole.
func (s served) whole(t *testing.T) {
	t.Helper()
	mustGit(t, s.path("acme/deploy"), "fsck", "--full", "--strict", "--no-dangling")
	mustGit(t, t.TempDir(), "clone", "-q", s.remote(t, "ci", testPassword), "again")
}

// TestUnreachableObjectsAreRemoved rewrites a proposal and deletes another, and
// wants what they had gone once it is old, and nothing else.
func TestUnreachableObjectsAreRemoved(t *testing.T) {
	s, dir := seeded(t, nil)
	mustGit(t, dir, "tag", "-a", "v1", "-m", "a tag")
	mustGit(t, dir, "push", "-q", "origin", "v1")
	mustGit(t, dir, "checkout", "-q", "-b", "serin/p")
	first := commit(t, dir, "proposal", "proposed\n")
	mustGit(t, dir, "push", "-q", "origin", "serin/p")
	mustGit(t, dir, "commit", "-q", "--amend", "-m", "Another")
	second := mustGit(t, dir, "rev-parse", "HEAD")
	mustGit(t, dir, "push", "-q", "-f", "origin", "serin/p")
	if done := collect(t, s, 24*time.Hour); done != (Collection{}) || !s.has(t, first) {
		t.Errorf("%+v was removed after a day", done)
	}
	done := collect(t, s, later)
	if done.Objects != 1 || done.Bytes <= 0 || s.has(t, first) || !s.has(t, second) {
		t.Errorf("%+v was removed, want the commit that was rewritten", done)
	}
	if usage, err := diskUsage(s.path("acme/deploy")); err != nil || s.Usage()["acme/deploy"] != usage {
		t.Errorf("%d bytes are in use, want %d (%v)", s.Usage()["acme/deploy"], usage, err)
	}
	mustGit(t, dir, "push", "-q", "origin", "--delete", "serin/p")
	if done := collect(t, s, later); done.Objects != 3 || s.has(t, second) {
		t.Errorf("%+v was removed, want commit, tree and blob of the branch that was deleted", done)
	}
	s.whole(t)
	// What was removed comes back with a push.
	mustGit(t, dir, "push", "-q", "origin", "serin/p")
	if done := collect(t, s, later); done != (Collection{}) || !s.has(t, second) {
		t.Errorf("%+v was removed of a branch that is there", done)
	}
	s.whole(t)
}

// TestDeadPacksAreRemoved pushes a branch that is large enough to stay a pack,
// keeps a part of it, and wants the rest gone.
func TestDeadPacksAreRemoved(t *testing.T) {
	s, dir := seeded(t, nil)
	mustGit(t, dir, "checkout", "-q", "-b", "serin/large")
	kept := commit(t, dir, "kept", strings.Repeat("k\n", 100))
	for i := range 2 * unpackLimit {
		write(t, dir, fmt.Sprintf("large/%d", i), fmt.Sprintf("file %d\n", i))
	}
	lost := commit(t, dir, "large/last", "x\n")
	mustGit(t, dir, "push", "-q", "origin", "serin/large")
	if packs := packsOf(t, s); len(packs) != 1 {
		t.Fatalf("packs %v, want one", packs)
	}
	mustGit(t, dir, "push", "-q", "-f", "origin", kept+":refs/heads/serin/large")
	done := collect(t, s, later)
	if done.Packs != 1 || s.has(t, lost) || !s.has(t, kept) || len(packsOf(t, s)) != 1 {
		t.Errorf("%+v was removed; packs %v; want the one written anew without what is lost", done, packsOf(t, s))
	}
	s.whole(t)
	mustGit(t, dir, "push", "-q", "origin", "--delete", "serin/large")
	if done := collect(t, s, later); done.Packs != 1 || s.has(t, kept) || len(packsOf(t, s)) != 0 {
		t.Errorf("%+v was removed; packs %v; want none left", done, packsOf(t, s))
	}
	s.whole(t)
}

func packsOf(t *testing.T, s served) []string {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(s.path("acme/deploy"), "objects", "pack", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

// TestCollectGivesWay wants a repository in use left alone.
func TestCollectGivesWay(t *testing.T) {
	s, dir := seeded(t, nil)
	mustGit(t, dir, "push", "-q", "origin", "main:serin/p")
	commit(t, dir, "more", "1\n")
	mustGit(t, dir, "push", "-q", "origin", "HEAD:serin/p")
	mustGit(t, dir, "push", "-q", "origin", "--delete", "serin/p")
	done := s.use("acme/deploy")
	if removed, err := s.Collect(t.Context(), time.Now().Add(later)); !errors.Is(err, ErrBusy) || removed != (Collection{}) {
		t.Errorf("in use: %+v, %v", removed, err)
	}
	done()
	if removed := collect(t, s, later); removed.Objects == 0 {
		t.Errorf("not in use any more: %+v", removed)
	}
}

// TestCollectBesidePushes collects, as of long after, while clients push, and
// wants nothing lost that a reference reaches.
func TestCollectBesidePushes(t *testing.T) {
	s, dir := seeded(t, nil)
	var pushing sync.WaitGroup
	ended := make(chan struct{})
	for n := range 3 {
		clone := filepath.Join(t.TempDir(), "clone")
		mustGit(t, dir, "clone", "-q", s.remote(t, "ci", testPassword), clone)
		pushing.Go(func() {
			for i := range 6 {
				branch := fmt.Sprintf("serin/p%d", n)
				write(t, clone, branch, fmt.Sprintf("%d\n", i))
				for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "--amend", "-m", fmt.Sprint(i)}, {"push", "-q", "-f", "origin", "HEAD:" + branch}} {
					if out, err := git(clone, args...); err != nil {
						t.Errorf("git %v: %v\n%s", args, err, out)
					}
				}
			}
		})
	}
	go func() { pushing.Wait(); close(ended) }()
	removed := 0
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		done, err := s.Collect(t.Context(), time.Now().Add(later))
		if err != nil && !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		removed += done.Objects
	}
	if removed == 0 {
		t.Error("nothing was removed")
	}
	s.whole(t)
	for n := range 3 {
		mustGit(t, s.path("acme/deploy"), "rev-list", "--objects", fmt.Sprintf("serin/p%d", n))
	}
	if left := filesIn(t, s.path("acme/deploy"), draftPush); len(left) > 0 {
		t.Errorf("files are left over: %v", left)
	}
}

func filesIn(t *testing.T, dir, prefix string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(entry.Name(), prefix) {
			found = append(found, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
