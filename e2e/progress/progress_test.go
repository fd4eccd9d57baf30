package progress

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestRunNamesWhatFailed(t *testing.T) {
	var out bytes.Buffer
	why := errors.New("no space")
	later := false
	err := Run(t.Context(), &out, []Part{
		{"first", func(context.Context) error { return nil }},
		{"second", func(context.Context) error { return why }},
		{"third", func(context.Context) error { later = true; return nil }},
	})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "part 2 of 3: second failed") {
		t.Errorf("error %q does not name part and cause", err)
	}
	if !strings.HasPrefix(out.String(), "part 1 of 3: first, ") || later {
		t.Errorf("progress %q, a later part ran: %t", out.String(), later)
	}
}

// Lines stand below each other where there are ten parts and more.
func TestRunAlignsNumbers(t *testing.T) {
	var out bytes.Buffer
	parts := make([]Part, 10)
	for i := range parts {
		parts[i] = Part{"it", func(context.Context) error { return nil }}
	}
	if err := Run(t.Context(), &out, parts); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line[len("part 10"):], " of 10: it, ") {
			t.Errorf("line %q is not aligned", line)
		}
	}
}
