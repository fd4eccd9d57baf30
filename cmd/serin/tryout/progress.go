package tryout

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

const (
	// progressAfter is how long something lasts before anything is said of it.
	progressAfter = 1500 * time.Millisecond
	// progressEvery is how often a line on a terminal is written anew.
	progressEvery = 200 * time.Millisecond
	// progressMost is the longest time between two lines elsewhere; they come after
	// 1.5, 3, 6 and so on seconds, so that a log holds few of them.
	progressMost = time.Minute
)

// progress tells people at the standard error how far a long computation is. It
// says nothing of a short one. It is told by one goroutine at a time.
type progress struct {
	out io.Writer
	// terminal is true where one line can be written over and over.
	terminal bool
	now      func() time.Time
	began    time.Time
	// next is how long after the begin something is said next.
	next  time.Duration
	width int
}

// newProgress tells nobody where quiet is true.
func newProgress(out io.Writer, quiet bool, now func() time.Time) *progress {
	if quiet {
		out = io.Discard
	}
	return &progress{out: out, terminal: isTerminal(out), now: now, began: now(), next: progressAfter}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// tell says how much is done; how is asked for the words when they are due.
func (p *progress) tell(how func() string) {
	elapsed := p.now().Sub(p.began)
	if elapsed < p.next {
		return
	}
	text := fmt.Sprintf("%s, %s so far", how(), elapsed.Truncate(time.Second))
	if !p.terminal {
		fmt.Fprintln(p.out, text)
		p.next = elapsed + min(elapsed, progressMost)
		return
	}
	// Padded, to cover what stood there before.
	fmt.Fprintf(p.out, "\r%-*s", p.width, text)
	p.width, p.next = len(text), elapsed+progressEvery
}

// end takes the line off a terminal, so that what comes next begins its own.
func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
	}
	p.width = 0
}

// abandoned is a reader that gives up with its context: a read of a terminal or a
// pipe that nobody writes to would never end.
type abandoned struct {
	ctx context.Context // io.Reader takes none
	in  io.Reader
}

// Read implements io.Reader. What is read after the context has ended is lost.
func (a abandoned) Read(to []byte) (int, error) {
	type read struct {
		n   int
		err error
	}
	// A buffer of its own: the caller may use to again once this has returned.
	own, done := make([]byte, len(to)), make(chan read, 1)
	go func() {
		n, err := a.in.Read(own)
		done <- read{n, err}
	}()
	select {
	case r := <-done:
		return copy(to, own[:r.n]), r.err
	case <-a.ctx.Done():
		return 0, fmt.Errorf("interrupted while it was read: %w", a.ctx.Err())
	}
}
