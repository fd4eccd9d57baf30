package environments

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// FreezeWindow is a time, again and again, in which nothing is promoted.
type FreezeWindow struct {
	// Start is a cron expression of five fields.
	Start string
	// Duration from each start.
	Duration time.Duration
	// TimeZone is an IANA name; UTC where empty.
	TimeZone string
	Reason   string
}

// maxOverlaps bounds how many windows that follow each other without a gap are
// joined.
const maxOverlaps = 1000

// Frozen says until when now is inside one of the windows, the zero time where
// it is in none, and why. A window that cannot be read is an error: the caller
// holds, since promoting into a freeze is worse than waiting.
func Frozen(windows []FreezeWindow, now time.Time) (until time.Time, reason string, err error) {
	for range maxOverlaps {
		end, why, err := frozenAt(windows, later(until, now))
		if err != nil {
			return time.Time{}, "", err
		}
		if !end.After(until) {
			return until, reason, nil
		}
		until = end
		if reason == "" {
			reason = why
		}
	}
	return until, reason, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// frozenAt returns the latest end of the windows that hold the moment.
func frozenAt(windows []FreezeWindow, moment time.Time) (until time.Time, reason string, err error) {
	for i, window := range windows {
		zone := window.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			return time.Time{}, "", fmt.Errorf("gates.freeze[%d].timeZone %q: %w; write an IANA name such as Europe/Berlin", i, window.TimeZone, err)
		}
		schedule, err := cron.ParseStandard(window.Start)
		if err != nil {
			return time.Time{}, "", fmt.Errorf("gates.freeze[%d].start %q: %w; write five cron fields such as \"0 16 * * FRI\"", i, window.Start, err)
		}
		// The first start after (moment - duration) is the earliest window that
		// may still hold the moment; the start itself belongs to the window.
		start := schedule.Next(moment.In(location).Add(-window.Duration))
		if start.IsZero() || start.After(moment) {
			continue
		}
		if end := start.Add(window.Duration).UTC(); end.After(until) {
			until, reason = end, window.Reason
		}
	}
	return until, reason, nil
}
