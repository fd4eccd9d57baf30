package figure

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableSaysWhatWasPromisedAndMissed(t *testing.T) {
	tests := map[string]struct {
		figure Figure
		want   []string
		missed bool
	}{
		"kept":       {New("a", 0.75, "s", 7).Max(1.5), []string{"a", "0.75 s", "7", "<= 1.5 s"}, false},
		"missed":     {New("b", 2, "s", 7).Max(1.5), []string{"2 s", "<= 1.5 s"}, true},
		"too little": {New("c", 0.9, "share", 2000).Min(0.95).Between(0.88, 0.92), []string{"90.00%", "88.00% to 92.00%", ">= 95.00%"}, true},
		"no promise": {New("d", 123456, "bytes", 1), []string{"123456 bytes"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Print(&out, []Figure{test.figure}); err != nil {
				t.Fatal(err)
			}
			for _, part := range test.want {
				if !strings.Contains(out.String(), part) {
					t.Errorf("no %q in\n%s", part, out.String())
				}
			}
			if got := strings.Contains(out.String(), "MISSED"); got != test.missed {
				t.Errorf("missed is %v, want %v:\n%s", got, test.missed, out.String())
			}
		})
	}
}

func TestWriteIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "bench.json")
	want := []Figure{New("git.x", 1.25, "s", 9).Max(1.5), New("analysis.y", 0.004, "share", 2000).Between(0.002, 0.006)}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	encoded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []Figure
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
