package world

import (
	"context"
	"fmt"
	"time"
)

// poll is how often a condition is looked at; pollFigure, one that costs nothing to
// look at and whose time is a figure.
const (
	poll       = 200 * time.Millisecond
	pollFigure = 20 * time.Millisecond
)

// Eventually waits until what holds. condition says what is still missing, or
// nothing; an error of it is a reason to go on waiting too, since parts of the
// world are killed on purpose. The error at the end holds the last reason.
func Eventually(ctx context.Context, limit time.Duration, what string, condition func(context.Context) (missing string, err error)) error {
	return eventually(ctx, poll, limit, what, condition)
}

func eventually(ctx context.Context, every, limit time.Duration, what string, condition func(context.Context) (missing string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last, failed := "it was never looked at", error(nil)
	for {
		missing, err := condition(ctx)
		if err == nil && missing == "" {
			return nil
		}
		if err == nil {
			last, failed = missing, nil
		} else if ctx.Err() == nil {
			failed = err
		}
		select {
		case <-ctx.Done():
			// The last look is often cut short by the limit itself: what was
			// seen before tells more.
			if failed != nil {
				return fmt.Errorf("waited %s for %s: %s; the last look failed: %w", limit, what, last, failed)
			}
			return fmt.Errorf("waited %s for %s: %s", limit, what, last)
		case <-ticker.C:
		}
	}
}
