package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Git is the deploy repository as a person with a clone sees it. It is the git
// command line, so that Serin's own writer is not judged by itself.
type Git struct {
	command func(ctx context.Context, argv ...string) *exec.Cmd
	url     string
	dir     string

	mutex sync.Mutex
}

// OpenGit prepares a clone of url; command starts a process where url can be
// reached.
func OpenGit(command func(context.Context, ...string) *exec.Cmd, url string) (*Git, error) {
	dir, err := os.MkdirTemp("", "serin-person-")
	if err != nil {
		return nil, err
	}
	return &Git{command: command, url: url, dir: dir}, nil
}

// Close removes the clone.
func (g *Git) Close() error { return os.RemoveAll(g.dir) }

func (g *Git) git(ctx context.Context, args ...string) (string, error) {
	argv := append([]string{"git", "-C", g.dir,
		"-c", "user.name=A Person", "-c", "user.email=person@example.com", "-c", "commit.gpgsign=false"}, args...)
	command := g.command(ctx, argv...)
	command.Env = append(command.Env, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// Seed makes the first commit of main out of files.
func (g *Git) Seed(ctx context.Context, files map[string][]byte) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if _, err := g.git(ctx, "init", "-q", "-b", "main"); err != nil {
		return err
	}
	if err := g.write(files); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"add", "-A"}, {"commit", "-q", "-m", "The example's overlays"},
		{"remote", "add", "origin", g.url}, {"push", "-q", "--force", "origin", "main"},
	} {
		if _, err := g.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (g *Git) write(files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(g.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (g *Git) pull(ctx context.Context) error {
	if _, err := g.git(ctx, "fetch", "-q", "--prune", "origin"); err != nil {
		return err
	}
	_, err := g.git(ctx, "reset", "-q", "--hard", "origin/main")
	return err
}

// Commit changes one file on main and pushes, trying again after a lost race.
func (g *Git) Commit(ctx context.Context, subject, path string, edit func([]byte) []byte) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var lost error
	for range 5 {
		if err := g.pull(ctx); err != nil {
			return err
		}
		before, err := os.ReadFile(filepath.Join(g.dir, path))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := g.write(map[string][]byte{path: edit(before)}); err != nil {
			return err
		}
		for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", subject}} {
			if _, err := g.git(ctx, args...); err != nil {
				return err
			}
		}
		if _, lost = g.git(ctx, "push", "-q", "origin", "HEAD:main"); lost == nil {
			return nil
		}
	}
	return lost
}

// Merge merges a branch into main with a merge commit, as a person at a
// terminal does, and pushes.
func (g *Git) Merge(ctx context.Context, branch string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if err := g.pull(ctx); err != nil {
		return err
	}
	if _, err := g.git(ctx, "merge", "-q", "--no-ff", "-m", "Merge "+branch, "origin/"+branch); err != nil {
		return err
	}
	_, err := g.git(ctx, "push", "-q", "origin", "HEAD:main")
	return err
}

// DeleteBranch deletes a branch on the server.
func (g *Git) DeleteBranch(ctx context.Context, branch string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	_, err := g.git(ctx, "push", "-q", "origin", "--delete", branch)
	return err
}

// Revert reverts the newest commit of main that touched path, and pushes.
func (g *Git) Revert(ctx context.Context, path string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if err := g.pull(ctx); err != nil {
		return err
	}
	hash, err := g.git(ctx, "log", "-1", "--no-merges", "--format=%H", "--", path)
	if err != nil {
		return err
	}
	if _, err := g.git(ctx, "revert", "--no-edit", hash); err != nil {
		return err
	}
	_, err = g.git(ctx, "push", "-q", "origin", "HEAD:main")
	return err
}

// Branches lists the branches on the server.
func (g *Git) Branches(ctx context.Context) ([]string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	out, err := g.git(ctx, "ls-remote", "--heads", "origin")
	if err != nil {
		return nil, err
	}
	var branches []string
	for line := range strings.Lines(out) {
		if _, name, found := strings.Cut(strings.TrimSpace(line), "refs/heads/"); found {
			branches = append(branches, name)
		}
	}
	return branches, nil
}

// Read is a file at the tip of main.
func (g *Git) Read(ctx context.Context, path string) (string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if err := g.pull(ctx); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(g.dir, path))
	return string(text), err
}

// Log is the messages of main's commits, newest first.
func (g *Git) Log(ctx context.Context) ([]string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if err := g.pull(ctx); err != nil {
		return nil, err
	}
	out, err := g.git(ctx, "log", "--format=%B%x00")
	if err != nil {
		return nil, err
	}
	var messages []string
	for _, message := range strings.Split(out, "\x00") {
		if message = strings.TrimSpace(message); message != "" {
			messages = append(messages, message)
		}
	}
	return messages, nil
}

// Tip is the hash of main on the server.
func (g *Git) Tip(ctx context.Context) (string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	out, err := g.git(ctx, "ls-remote", "origin", "refs/heads/main")
	hash, _, _ := strings.Cut(out, "\t")
	return hash, err
}
