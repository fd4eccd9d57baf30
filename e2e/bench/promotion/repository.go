// Package promotion measures what one promotion into a large repository costs,
// beside what a clone with the git command line costs at the same time.
package promotion

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/serin-gitops/serin/e2e/bench/proc"
	"github.com/serin-gitops/serin/embedded/gitserver"
)

const (
	name   = "deploy"
	branch = "main"
	// filesOfApp is what one application has in the repository.
	filesOfApp = 10
	appsOfTeam = 100
	image      = "registry.example.com/web"
)

// server is the embedded Git server on a loopback port, as a process of its own.
type server struct {
	url     string
	process *exec.Cmd
}

// Serve is the serving process: it serves the repositories in dir by the
// embedded Git server until ctx ends, and writes its address to out.
func Serve(ctx context.Context, dir string, out io.Writer) error {
	git, err := gitserver.New(gitserver.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := &http.Server{Handler: git, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = served.Close() })
	defer stop()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	if err := served.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startServer serves a repository of about this many files, all in one commit.
func startServer(ctx context.Context, dir string, files int, command func(ctx context.Context, dir string) *exec.Cmd) (*server, error) {
	if err := git(ctx, "", "init", "--quiet", "--bare", "--initial-branch", branch, filepath.Join(dir, name+".git")); err != nil {
		return nil, err
	}
	if err := fill(ctx, filepath.Join(dir, name+".git"), files); err != nil {
		return nil, err
	}
	s := &server{process: command(ctx, dir)}
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("serving process: %w", err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serving process gave no address: %w", err), s.close())
	}
	s.url = strings.TrimSpace(address) + "/" + name + ".git"
	return s, nil
}

// peak is the most memory, in MiB, that the serving process ever had resident.
func (s *server) peak() (float64, error) {
	bytes, err := proc.Peak(strconv.Itoa(s.process.Process.Pid))
	return float64(bytes) / (1 << 20), err
}

func (s *server) close() error {
	if err := s.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// Killed: how it ended is known.
	_ = s.process.Wait()
	return nil
}

// appDir is where an application's files are.
func appDir(app int) string {
	return fmt.Sprintf("teams/team-%02d/app-%03d", app/appsOfTeam, app%appsOfTeam)
}

// fill writes the repository's one commit through git fast-import.
func fill(ctx context.Context, dir string, files int) error {
	command := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet")
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("git fast-import (is git installed?): %w", err)
	}
	out := bufio.NewWriterSize(in, 1<<20)
	fmt.Fprintf(out, "commit refs/heads/%s\ncommitter Ann <ann@example.com> 1767323045 +0000\ndata 4\nSeed\n", branch)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // contents of a benchmark, the same each time
	for app := range files / filesOfApp {
		writeApp(out, appDir(app), random)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	if err := in.Close(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	return command.Wait()
}

// writeApp writes an application's ten files: a base and three overlays.
func writeApp(out io.Writer, dir string, random *rand.Rand) {
	put := func(path, content string) {
		fmt.Fprintf(out, "M 100644 inline %s/%s\ndata %d\n%s\n", dir, path, len(content), content)
	}
	put("README.md", "# An application\n"+noise(random, 20))
	put("base/kustomization.yaml", "resources: [deployment.yaml, service.yaml]\nconfigMapGenerator:\n  - name: web\n    files: [settings.txt]\n")
	put("base/deployment.yaml", deployment)
	put("base/service.yaml", service)
	put("base/settings.txt", noise(random, 30))
	put("docs/runbook.md", noise(random, 30))
	put("docs/owners.md", noise(random, 3))
	for _, environment := range []string{"dev", "staging", "prod"} {
		put("overlays/"+environment+"/kustomization.yaml", fmt.Sprintf(overlay, environment, image))
	}
}

// noise is text that does not compress to nothing, 60 bytes a line.
func noise(random *rand.Rand, lines int) string {
	text := ""
	for range lines {
		text += fmt.Sprintf("%016x %016x %016x word\n", random.Uint64(), random.Uint64(), random.Uint64())
	}
	return text
}

const (
	overlay = `# Kept by the team, edited by promotions.
resources: [../../base]
namespace: %s
images:
  - name: %s
    newTag: v1.0.0
`
	service = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`
	deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: ` + image + `
          ports: [{containerPort: 8080}]
          resources: {limits: {cpu: 500m, memory: 128Mi}}
`
)
