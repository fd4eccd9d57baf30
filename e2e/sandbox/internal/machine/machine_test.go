package machine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"

	"github.com/google/go-cmp/cmp"
)

func testLayout(t *testing.T) layout.Layout {
	t.Helper()
	cache := t.TempDir()
	return layout.Layout{Root: t.TempDir(), Cache: cache, Dir: filepath.Join(cache, "sandbox")}
}

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		line  string
		start uint64
		state string
		fails bool
	}{
		"plain":                  {"7 (etcd) S 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 9 0 4242 1 2", 4242, "S", false},
		"parentheses and spaces": {"7 (a) b) (c) Z 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 9 0 4242 1 2", 4242, "Z", false},
		"no name":                {"7 etcd S 1", 0, "", true},
		"too short":              {"7 (etcd) S 1 7", 0, "", true},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			start, state, err := parseStat(test.line)
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %t", err, test.fails)
			}
			if start != test.start || state != test.state {
				t.Errorf("got start %d state %q, want %d %q", start, state, test.start, test.state)
			}
		})
	}
}

func TestPartIsRememberedUntilItEnds(t *testing.T) {
	l := testLayout(t)
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ok := Running(l, "sleeper"); ok {
		t.Fatal("a part runs before it was started")
	}
	started, err := Spawn(l, "sleeper", []string{"sleep", "600"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := Running(l, "sleeper"); !ok || found != started {
		t.Errorf("running = %v, %t; want %v", found, ok, started)
	}
	reused := started
	reused.Start++
	if reused.Alive() {
		t.Error("a process with the same pid and another start time is taken for the part")
	}
	if err := Stop(t.Context(), l, "sleeper", false); err != nil {
		t.Fatal(err)
	}
	if started.Alive() {
		t.Error("the process lives after stop")
	}
	if err := Stop(t.Context(), l, "sleeper", false); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// TestLastWords states that what a part wrote before it ended can still be read when
// it was started again.
func TestLastWords(t *testing.T) {
	l := testLayout(t)
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spoken := filepath.Join(t.TempDir(), "spoken")
	if err := syscall.Mkfifo(spoken, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Stop(t.Context(), l, "speaker", true) }()
	for _, say := range []string{"I have had enough", "I begin anew"} {
		if _, err := Spawn(l, "speaker", []string{"sh", "-c", "echo " + say + "; : >" + spoken + "; exec sleep 600"}, nil); err != nil {
			t.Fatal(err)
		}
		// Opened only when the part opens it too, which it does after its words.
		if _, err := os.ReadFile(spoken); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(l.Log("speaker")); err != nil || string(text) != say+"\n" {
			t.Fatalf("the log is %q, %v; want %q", text, err, say)
		}
		if err := Stop(t.Context(), l, "speaker", true); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(l.LastLog("speaker")); err != nil || string(text) != "I have had enough\n" {
		t.Errorf("the last log is %q, %v", text, err)
	}
}

// A part that outlives its caller keeps none of the caller's files, such as the
// lock that somebody holds who runs "flock lock make sandbox-up".
func TestPartKeepsNoFiles(t *testing.T) {
	l := testLayout(t)
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(t.TempDir(), "lock")
	inherited, err := syscall.Open(lock, syscall.O_CREAT|syscall.O_RDWR, 0o600) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(inherited) }()
	started, err := Spawn(l, "sleeper", []string{"sleep", "600"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Stop(t.Context(), l, "sleeper", true) }()
	open := filepath.Join("/proc", strconv.Itoa(started.PID), "fd")
	files, err := os.ReadDir(open)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d open files: %v", len(files), err)
	}
	for _, file := range files {
		if target, err := os.Readlink(filepath.Join(open, file.Name())); err == nil && target == lock {
			t.Errorf("the part holds the caller's file %s", target)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	mountinfo := strings.Join([]string{
		"22 27 0:21 / /proc rw - proc proc rw",
		"90 27 0:50 / /cache/sandbox/kubelet-root/pods/a/volumes rw - tmpfs tmpfs rw",
		"91 27 0:51 / /cache/sandbox-other/x rw - tmpfs tmpfs rw",
		`92 27 0:52 / /cache/sandbox/with\040space rw - tmpfs tmpfs rw`,
		"short line", "",
	}, "\n")
	want := []string{"/cache/sandbox/kubelet-root/pods/a/volumes", "/cache/sandbox/with space"}
	if diff := cmp.Diff(want, mountsBelow(mountinfo, "/cache/sandbox")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIsShim(t *testing.T) {
	const socket = "/c/sandbox/run/containerd/containerd.sock"
	line := func(argv ...string) string { return strings.Join(argv, "\x00") + "\x00" }
	tests := map[string]struct {
		cmdline string
		want    bool
	}{
		"ours":          {line("/usr/bin/containerd-shim-runc-v2", "-id", "1", "-address", socket), true},
		"another's":     {line("/usr/bin/containerd-shim-runc-v2", "-id", "1", "-address", "/run/containerd/containerd.sock"), false},
		"not a shim":    {line("vi", socket), false},
		"kernel thread": {"", false},
	}
	for title, test := range tests {
		if got := isShim(test.cmdline, socket); got != test.want {
			t.Errorf("%s: %t, want %t", title, got, test.want)
		}
	}
}

func TestMissingPackages(t *testing.T) {
	none := missingPackages(layout.Full, func(string) bool { return true })
	missing := func(file string) bool { return !slices.Contains([]string{"/usr/sbin/nft", "/usr/bin/gcc"}, file) }
	light, full := missingPackages(layout.Light, missing), missingPackages(layout.Full, missing)
	if diff := cmp.Diff([][]string{nil, {"nftables"}, {"nftables", "gcc"}}, [][]string{none, light, full}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostDataOfOthersIsLeftAlone(t *testing.T) {
	for _, theirs := range []bool{true, false} {
		l := testLayout(t)
		dir := filepath.Join(t.TempDir(), "data")
		if theirs {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := ClaimHostData(l, dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "volume"), 0o755); err != nil {
			t.Fatal(err)
		}
		// A second start finds the directory there and keeps the claim.
		if err := ClaimHostData(l, dir); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := RemoveHostData(l); err != nil {
				t.Fatal(err)
			}
		}
		_, err := os.Stat(dir)
		if gone := errors.Is(err, os.ErrNotExist); gone == theirs {
			t.Errorf("directory there before: %t, removed: %t", theirs, gone)
		}
	}
}
