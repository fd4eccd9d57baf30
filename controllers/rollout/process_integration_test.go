//go:build integration

package rollout_test

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/sandbox"
)

// process is Serin's own program inside the sandbox, where it reaches pods,
// Services and gates as it does in the cluster.
type process struct {
	command *exec.Cmd
	once    sync.Once
}

// program builds Serin's command where the scenarios do.
var program = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	top, err := images.Root()
	if err != nil {
		return "", err
	}
	cache := cmp.Or(os.Getenv("SERIN_CACHE"), filepath.Join(top, ".cache"))
	return (&images.Builder{Root: top, Cache: filepath.Join(cache, "images")}).SerinCommand(ctx, "dev")
})

// run starts Serin for the test's namespace; flags are added to those that keep
// the servers of processes apart.
func (e *env) run(flags ...string) *process {
	e.t.Helper()
	binary, err := program()
	if err != nil {
		e.t.Fatal(err)
	}
	work, err := os.MkdirTemp(e.dir, "serin")
	if err != nil {
		e.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(work, "log"))
	if err != nil {
		e.t.Fatal(err)
	}
	// It ends by itself also where the tests are killed.
	argv := append([]string{"timeout", "--signal=KILL", "15m", binary, "controller", "--namespace", e.namespace, "--watch-namespaces", e.namespace,
		"--cache-dir", work, "--hooks-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--admission-address", ""}, flags...)
	p := &process{command: e.cluster().Command(context.Background(), argv...)}
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		e.t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		e.t.Error(err)
	}
	e.logs = append(e.logs, log.Name())
	before := e.stop
	e.stop = func() {
		p.kill()
		if before != nil {
			before()
		}
		e.stop = nil
	}
	return p
}

// kill ends it as kill -9 does, and returns when it is gone. "timeout" gives
// itself and the program a process group.
func (p *process) kill() {
	p.once.Do(func() {
		// Where it has ended already there is nothing to kill, and its log tells why.
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		_ = p.command.Wait()
	})
}

func (e *env) cluster() *sandbox.Cluster {
	e.t.Helper()
	cluster, err := sandbox.Attach("")
	if err != nil {
		e.t.Fatal(err)
	}
	return cluster
}
