package promotion

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/e2e/bench/figure"
)

// Options of Measure.
type Options struct {
	// Files in the repository.
	Files int
	// Times Serin promotes, and Clones how many of them stand beside a clone.
	Times, Clones int
	// Promoter makes the command that runs Promote with a URL and a directory.
	Promoter func(ctx context.Context, url, store string) *exec.Cmd
	// Server makes the command that runs Serve with a directory.
	Server func(ctx context.Context, dir string) *exec.Cmd
	// Progress is told what is measured.
	Progress io.Writer
}

// Measure promotes in turns with a person who uses the git command line, so
// that each promotion begins with another's commit to fetch. At first that
// person clones anew each time, which is measured; later the clone is kept.
func Measure(ctx context.Context, o Options) (figures []figure.Figure, err error) {
	dir, err := os.MkdirTemp("", "serin-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(o.Progress, "a repository of %d files\n", o.Files)
	served, err := startServer(ctx, filepath.Join(dir, "served"), o.Files, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, served.close()) }()
	promoter, err := startPromoter(o.Promoter(ctx, served.url, filepath.Join(dir, "store")))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, promoter.stop()) }()
	apps := o.Files / filesOfApp
	cold, err := promoter.promote(0, 0)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Progress, "cold: Serin %.2f s\n", cold.Seconds)
	servedSerin, err := served.peak()
	if err != nil {
		return nil, err
	}
	person := person{url: served.url, dir: filepath.Join(dir, "clone")}
	var warm, clone []float64
	last := cold
	for i := range o.Times {
		began := time.Now()
		if err := person.promote(ctx, (i*11+3)%apps, i, i < o.Clones); err != nil {
			return nil, err
		}
		beside := ""
		if i < o.Clones {
			clone = append(clone, time.Since(began).Seconds())
			beside = fmt.Sprintf(", git clone --depth 1, edit and push %.2f s", clone[i])
		}
		if last, err = promoter.promote((i*7+1)%apps, i+1); err != nil {
			return nil, err
		}
		warm = append(warm, last.Seconds)
		fmt.Fprintf(o.Progress, "%d of %d: Serin %.2f s%s\n", i+1, o.Times, last.Seconds, beside)
	}
	servedAll, err := served.peak()
	if err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("git.promotion_%d_files.", o.Files)
	return []figure.Figure{
		figure.New(prefix+"warm_median", median(warm), "s", len(warm)).Max(1.5),
		figure.New(prefix+"warm_max", slices.Max(warm), "s", len(warm)),
		figure.New(prefix+"cold", cold.Seconds, "s", 1),
		figure.New(prefix+"git_clone_median", median(clone), "s", len(clone)),
		figure.New(prefix+"times_faster_than_clone", median(clone)/median(warm), "x", len(clone)),
		figure.New(prefix+"peak_memory", float64(last.PeakBytes)/(1<<20), "MiB", len(warm)+1).Max(150),
		// The embedded server's: Serin's first fetch, and with whole clones.
		figure.New(prefix+"server_peak_memory", servedSerin, "MiB", 1).Max(150),
		figure.New(prefix+"server_peak_memory_with_clones", servedAll, "MiB", len(clone)).Max(150),
	}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// promoter is the promoting process.
type promoter struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startPromoter(command *exec.Cmd) (*promoter, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("promoting process: %w", err)
	}
	return &promoter{command: command, in: in, out: bufio.NewReader(out)}, nil
}

// promote promotes a version into one application's overlay.
func (p *promoter) promote(app, version int) (answer, error) {
	digest := sha256.Sum256(fmt.Append(nil, version))
	if _, err := fmt.Fprintf(p.in, "%s/overlays/dev v1.%d.0 sha256:%x\n", appDir(app), version+1, digest); err != nil {
		return answer{}, fmt.Errorf("promoting process: %w", err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("promoting process: %w", err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("promoting process answered %q: %w", line, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("promotion %d: %s", version, a.Error)
	}
	return a, nil
}

func (p *promoter) stop() error { return errors.Join(p.in.Close(), p.command.Wait()) }

// person promotes with the git command line.
type person struct {
	url, dir string
}

// promote edits one overlay and pushes, from a new clone or from the last one.
func (p person) promote(ctx context.Context, app, version int, anew bool) error {
	if anew {
		if err := os.RemoveAll(p.dir); err != nil {
			return err
		}
		if err := git(ctx, "", "clone", "--quiet", "--depth", "1", p.url, p.dir); err != nil {
			return err
		}
	} else {
		for _, args := range [][]string{{"fetch", "--quiet", "--depth", "1", "origin", branch}, {"reset", "--quiet", "--hard", "FETCH_HEAD"}} {
			if err := git(ctx, p.dir, args...); err != nil {
				return err
			}
		}
	}
	path := filepath.Join(p.dir, appDir(app), "overlays", "prod", "kustomization.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(text), "newTag: v1.0.0", fmt.Sprintf("newTag: v2.%d.0", version), 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{{"commit", "--quiet", "--all", "--message", "Promote by hand"}, {"push", "--quiet", "origin", branch}} {
		if err := git(ctx, p.dir, args...); err != nil {
			return err
		}
	}
	return nil
}

func git(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
