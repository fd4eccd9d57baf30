package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnded(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"the last line":         {"starting\n\nlisten tcp 127.0.0.1:2379: bind: address already in use\n\n", `its log ends with "listen tcp 127.0.0.1:2379: bind: address already in use"`},
		"a full disk before it": {"write /x: no space left on device\nexit status 1\n", `its log ends with "write /x: no space left on device"`},
		"JSON":                  {`{"level":"fatal","msg":"discovery failed","error":"address already in use","stacktrace":"a\nb"}`, `its log ends with "discovery failed: address already in use"`},
		"nothing":               {"", "it failed; its log is /"},
		"a very long line":      {strings.Repeat("é", 1000), "..."},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "part.log")
			if err := os.WriteFile(file, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			failed := errors.New("it failed")
			got := Ended(failed, file)
			if !errors.Is(got, failed) || !strings.Contains(got.Error(), c.want) || !strings.HasSuffix(got.Error(), file) {
				t.Errorf("%q, want %q and the log's name", got, c.want)
			}
			if strings.Contains(got.Error(), "\n") || len(got.Error()) > longestWords+len(file)+100 {
				t.Errorf("not a short line: %q", got)
			}
		})
	}
	if got := Ended(errors.New("it failed"), "/nowhere").Error(); got != "it failed; its log is /nowhere" {
		t.Errorf("without a log: %q", got)
	}
}

func TestKilobytes(t *testing.T) {
	text := "55d0-7fff ---p 00000000 00:00 0 [rollup]\nRss:  2048 kB\nPss:  1024 kB\nPss_Dirty:  4 kB\n"
	if got := kilobytes(text, "Pss:"); got != 1<<20 {
		t.Errorf("got %d bytes", got)
	}
	if got := kilobytes(text, "VmRSS:"); got != 0 {
		t.Errorf("a line that is not there: %d bytes", got)
	}
}

func TestResident(t *testing.T) {
	if got := Resident(os.Getpid()); got < 1<<20 {
		t.Errorf("this process holds %d bytes", got)
	}
	if got := Resident(1 << 30); got != 0 {
		t.Errorf("a process that is not there holds %d bytes", got)
	}
}
