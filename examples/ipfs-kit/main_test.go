package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	secret   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	patience = 90 * time.Second
)

// process is one run of the program inside the test.
type process struct {
	url  string
	stop context.CancelFunc
	done chan error
}

// start runs the program until it says where it serves.
func start(t *testing.T, environment map[string]string) *process {
	t.Helper()
	environment["CLUSTER_SECRET"] = secret
	environment["HTTP_ADDRESS"] = "127.0.0.1:0"
	environment["SWARM_ADDRESS"] = "/ip4/127.0.0.1/tcp/0"
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{stop: cancel, done: make(chan error, 1)}
	reader, writer := io.Pipe()
	go func() {
		p.done <- run(ctx, slog.New(slog.NewJSONHandler(writer, nil)), func(name string) (string, bool) {
			value, ok := environment[name]
			return value, ok
		})
		_ = writer.Close()
	}()
	t.Cleanup(cancel)
	lines := bufio.NewScanner(reader)
	for p.url == "" && lines.Scan() {
		var line struct {
			HTTP string `json:"http"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.HTTP != "" {
			p.url = "http://" + line.HTTP
		}
	}
	if p.url == "" {
		t.Fatalf("the process ended early: %v", <-p.done)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return p
}

func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (p *process) waitFor(t *testing.T, path string, status int, content string) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		gotStatus, got := p.get(t, path)
		if gotStatus == status && strings.Contains(got, content) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("GET %s: got %d %s, want %d with %q", path, gotStatus, got, status, content)
		case <-ticker.C:
		}
	}
}

func TestWorkerAndMasterServeAndDrain(t *testing.T) {
	master := start(t, map[string]string{"ROLE": "master", "DATA_DIRECTORY": t.TempDir(), "POD_NAME": "m-0"})
	// Long enough for two requests on a busy machine, while it drains.
	slowly := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(slowly, []byte(`{"drainSeconds": 8}`), 0o600); err != nil {
		t.Fatal(err)
	}
	worker := start(t, map[string]string{
		"ROLE": "worker", "POD_NAME": "w-0", "CONFIG_FILE": slowly, "MASTERS": strings.TrimPrefix(master.url, "http://"),
	})
	worker.waitFor(t, "/api/v0/swarm/peers", http.StatusOK, `"Agent":"ipfs-kit/dev/master","Role":"master"`)
	master.waitFor(t, "/api/v0/swarm/peers", http.StatusOK, `"Agent":"ipfs-kit/dev/worker","Role":"worker"`)
	worker.waitFor(t, "/health", http.StatusOK, `"peers":1`)
	worker.waitFor(t, "/ready", http.StatusOK, "ready")

	worker.stop()
	worker.waitFor(t, "/ready", http.StatusServiceUnavailable, "draining")
	if status, body := worker.get(t, "/work"); status != http.StatusOK {
		t.Errorf("/work while draining: %d %s", status, body)
	}
	if err := <-worker.done; err != nil {
		t.Errorf("the worker did not end cleanly: %v", err)
	}
	master.waitFor(t, "/health", http.StatusOK, `"peers":0`)
}

func TestBadEnvironmentIsRefused(t *testing.T) {
	err := run(t.Context(), slog.New(slog.DiscardHandler), func(string) (string, bool) { return "", false })
	if err == nil || !strings.Contains(err.Error(), "CLUSTER_SECRET") || !strings.Contains(err.Error(), "MASTERS") {
		t.Errorf("run: got %v, want an error that names what is missing", err)
	}
}

func TestCommand(t *testing.T) {
	directory := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	if err := command(t.Context(), log, []string{"own-volume", directory, strconv.Itoa(os.Getuid())}); err != nil {
		t.Errorf("own-volume: %v", err)
	}
	for _, wrong := range [][]string{{"own-volume", directory, "me"}, {"own-volume", directory + "/none", "1"}, {"fly"}} {
		if err := command(t.Context(), log, wrong); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}
