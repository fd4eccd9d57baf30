package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	tests := []struct {
		name, events string
		last, err    string
	}{
		{"passed", `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":2}`, "1 passed, 0 failed, 0 skipped", ""},
		{"failed", `{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed, 0 skipped", "some tests failed"},
		{"does not build", `# p
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed, 0 skipped", "some tests failed"},
		{"skipped only", `{"Action":"skip","Package":"p","Test":"A"}`, "0 passed, 0 failed, 1 skipped", "no test ran in part"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "part.json")
			if err := os.WriteFile(file, []byte(tt.events), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err := run([]string{file}, &out)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != tt.last {
				t.Errorf("last line %q, want %q", got, tt.last)
			}
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestNoPart(t *testing.T) {
	if err := run(nil, &strings.Builder{}); err == nil {
		t.Error("no part, no error")
	}
}
