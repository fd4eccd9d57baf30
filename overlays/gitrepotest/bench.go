package gitrepotest

import (
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/overlays"
)

// Large fills branch main of an empty server with one commit of this many
// files, a hundred to a directory, and returns the path of one of them.
func (s *Server) Large(t testing.TB, files int) string {
	t.Helper()
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir = s.Dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprint(in, "commit refs/heads/main\ncommitter Ann <ann@example.com> 1767323045 +0000\ndata 5\nLarge\n")
	for i := range files {
		content := fmt.Sprintf("kind: ConfigMap\nname: file-%d\n", i)
		if err == nil {
			_, err = fmt.Fprintf(in, "M 100644 inline apps/team-%02d/app-%03d/file-%03d.yaml\ndata %d\n%s\n", i/10000, i/100, i%100, len(content), content)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out.String())
	}
	return "apps/team-00/app-000/file-000.yaml"
}

// BenchmarkWrite measures one promotion after another in a repository of this
// many files, the store being warm: to read the file, edit it and push. With
// other, another writer pushes before each, so that each begins with a fetch.
func BenchmarkWrite(b *testing.B, repositories overlays.Repositories, files int, other bool) {
	b.Helper()
	server := NewServer(b, ServerOptions{Partial: true})
	file := server.Large(b, files)
	repository, err := repositories.Open(b.Context(), server.Remote())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := repository.Tip(b.Context(), "main"); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		if other {
			b.StopTimer()
			server.commitBare(b, n)
			b.StartTimer()
		}
		c := change(fmt.Sprintf("Promote %d", n), func(tip fs.FS) ([]overlays.File, error) {
			content, err := fs.ReadFile(tip, file)
			if err != nil {
				return nil, err
			}
			return []overlays.File{{Path: file, Content: append(content, fmt.Sprintf("tag: v%d\n", n)...)}}, nil
		})
		c.When = time.Unix(1767323045+int64(n), 0)
		written, err := repository.Write(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		if !written.Changed {
			b.Fatal("nothing was written")
		}
	}
}

// commitBare puts another writer's commit upon main, without a clone.
func (s *Server) commitBare(t testing.TB, n int) {
	t.Helper()
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir = s.Dir
	content := fmt.Sprintf("other: %d\n", n)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\ndata 5\nOther\n"+
		"from refs/heads/main^0\nM 100644 inline apps/team-01/app-100/other.yaml\ndata %d\n%s\n", 1767323045+n, len(content), content))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}
