// Package progress tells a person what a command that takes minutes is doing:
// part n of m, what it is, how long it took.
package progress

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Interval is how often a part that is not done says that it goes on.
const Interval = 15 * time.Second

// Part is one line of progress.
type Part struct {
	// Name is what it makes, such as "build of kubernetes".
	Name string
	Run  func(ctx context.Context) error
}

// Run runs parts in order with a line for each, and one now and then while a long
// one runs. It ends at the first that fails, with an error that names it.
func Run(ctx context.Context, out io.Writer, parts []Part) error {
	started := time.Now()
	for i, part := range parts {
		where := fmt.Sprintf("part %*d of %d: %s", len(fmt.Sprint(len(parts))), i+1, len(parts), part.Name)
		begun := time.Now()
		done := make(chan error, 1)
		go func() { done <- part.Run(ctx) }()
		if err := wait(out, where, begun, done); err != nil {
			return fmt.Errorf("part %d of %d: %s failed: %w", i+1, len(parts), part.Name, err)
		}
		_, _ = fmt.Fprintf(out, "%s, %s (%s in all)\n", where, since(begun), since(started))
	}
	return nil
}

// wait waits for a part and says now and then that it still runs.
func wait(out io.Writer, where string, begun time.Time, done <-chan error) error {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			_, _ = fmt.Fprintf(out, "%s ... %s\n", where, since(begun))
		}
	}
}

func since(begun time.Time) string { return fmt.Sprintf("%.1fs", time.Since(begun).Seconds()) }
