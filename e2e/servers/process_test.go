//go:build servers

package servers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to be ready; on a loaded machine Mimir
// was seen to take minutes.
const patience = 10 * time.Minute

// process is one program in the background.
type process struct {
	name string
	argv []string
	// ready is a URL that answers 200 once it does its work; empty: none.
	ready string
	log   string

	mu    sync.Mutex
	run   *exec.Cmd
	ended chan struct{}
}

// background starts a program and stops it when the test ends.
func background(t *testing.T, name, ready string, argv ...string) *process {
	t.Helper()
	dir := logs(t)
	p := &process{name: name, argv: argv, ready: ready, log: filepath.Join(dir, strings.ReplaceAll(t.Name()+"-"+name, "/", "-")+".log")}
	_ = os.Remove(p.log) // there may be none of an earlier run
	t.Cleanup(func() {
		p.end(t, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("the log of %s is %s and ends with:\n%s", name, p.log, tail(p.log))
		}
	})
	p.start(t)
	p.wait(t)
	return p
}

// start starts it, again after an end.
func (p *process) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(p.argv[0], p.argv[1:]...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that started the process ends.
		runtime.LockOSThread()
		defer close(ended)
		defer func() { _ = log.Close() }()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s: %v; \"make servers\" builds it, or it is of Debian's package prometheus", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run, p.ended = command, ended
}

// wait waits until it is ready, or has ended.
func (p *process) wait(t *testing.T) {
	t.Helper()
	if p.ready == "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	begun := time.Now()
	for {
		err := answers(ctx, p.ready)
		if err == nil {
			t.Logf("%s was ready after %.1f s", p.name, time.Since(begun).Seconds())
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("%s has ended", p.name)
		case <-ctx.Done():
			t.Fatalf("%s is not ready: %v", p.name, err)
		case <-ticker.C:
		}
	}
}

// end ends it by a signal and waits until it has.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	p.mu.Lock()
	run, ended := p.run, p.ended
	p.mu.Unlock()
	if run == nil || run.Process == nil {
		return
	}
	_ = run.Process.Signal(signal) // it may have ended
	select {
	case <-ended:
	case <-time.After(time.Minute):
		_ = run.Process.Kill()
		<-ended
	}
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 300))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}

// logs is where logs are kept after the tests.
func logs(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../out/servers/logs")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	const longest = 4000
	return string(text[max(0, len(text)-longest):])
}

// tool is where a program lies that "make servers" builds.
func tool(t *testing.T, name string) string {
	t.Helper()
	cache := os.Getenv("SERIN_CACHE")
	if cache == "" {
		cache = "../../.cache"
	}
	path, err := filepath.Abs(filepath.Join(cache, "tools", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// free is an address of loopback that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// file writes a file of the test.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
