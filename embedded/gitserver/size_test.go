package gitserver

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

// A full repository refuses what would make it larger, in words that a person
// at a terminal reads, and serves on; a branch can still be deleted.
func TestRepositoriesAreBounded(t *testing.T) {
	s, dir := seeded(t, func(o *Options) { o.MaxRepositoryBytes = 200 << 10 })
	mustGit(t, dir, "push", "-q", "origin", "main:serin/p")
	noise := make([]byte, 32<<10)
	for i := 0; ; i++ {
		if i == 20 {
			t.Fatal("more is kept than the limit")
		}
		if _, err := rand.Read(noise); err != nil {
			t.Fatal(err)
		}
		before := s.tip(t, "main")
		commit(t, dir, "noise", hex.EncodeToString(noise))
		out, err := git(dir, "push", "origin", "main")
		if err == nil {
			continue
		}
		if !strings.Contains(out, "git.maxRepositoryBytes") {
			t.Errorf("refused with %v\n%s", err, out)
		}
		if got := s.tip(t, "main"); got != before {
			t.Errorf("main moved from %s to %s", before, got)
		}
		break
	}
	mustGit(t, dir, "push", "-q", "origin", "--delete", "serin/p")
	mustGit(t, t.TempDir(), "clone", "-q", s.remote(t, "ci", testPassword), "again")
}
