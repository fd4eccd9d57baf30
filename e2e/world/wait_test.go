package world

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// What was missing is told even where the last look failed, as it does when the
// limit cuts it short.
func TestEventuallySaysWhatWasMissing(t *testing.T) {
	looks := 0
	why := errors.New("the limiter says no")
	err := Eventually(t.Context(), 3*poll, "the end", func(context.Context) (string, error) {
		if looks++; looks > 1 {
			return "", why
		}
		return "two are left", nil
	})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "two are left") {
		t.Errorf("got %v", err)
	}
}

func TestEventuallyEnds(t *testing.T) {
	looks := 0
	if err := Eventually(t.Context(), time.Minute, "the end", func(context.Context) (string, error) {
		looks++
		return missingUnless(looks > 2, "not yet"), nil
	}); err != nil || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
}
