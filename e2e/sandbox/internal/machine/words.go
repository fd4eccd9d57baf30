package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// noSpace is how every program says that a disk is full.
var noSpace = syscall.ENOSPC.Error()

// longestWords bounds what an error shows of a log's line, in bytes.
const longestWords = 300

// LastWords is the line of a log that says most likely why its program ended: the
// last one, or the last that tells of a full disk. Empty where there is none.
func LastWords(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	last, full := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		if strings.Contains(line, noSpace) {
			full = line
		}
	}
	if full != "" {
		last = full
	}
	last = plain(last)
	if len(last) > longestWords {
		last = strings.ToValidUTF8(last[:longestWords], "") + "..."
	}
	return last
}

// plain is a line of a log in JSON as text: the message and the error.
func plain(line string) string {
	var entry struct{ Msg, Error string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg == "" {
		return line
	}
	return strings.TrimSuffix(entry.Msg+": "+entry.Error, ": ")
}

// Ended adds to an error what the log of its program says at its end, and where
// that log is, in one line.
func Ended(err error, log string) error {
	if words := LastWords(log); words != "" {
		return fmt.Errorf("%w; its log ends with \"%s\" and is %s", err, words, log)
	}
	return fmt.Errorf("%w; its log is %s", err, log)
}

// almostFull is the free space, in bytes, below which a disk is called full: what
// failed for want of more has often been removed again.
const almostFull = 256 << 20

// FullDisk says which of the disks that the sandbox writes to is full; empty where
// none is.
func FullDisk(l layout.Layout) string {
	for _, dir := range []string{l.Cache, os.TempDir()} {
		var disk unix.Statfs_t
		if unix.Statfs(dir, &disk) != nil {
			continue
		}
		if free := disk.Bavail * uint64(disk.Bsize); free < almostFull {
			return fmt.Sprintf("the disk of %s is full (%d MiB free): free some, or set SERIN_CACHE or TMPDIR to another", dir, free>>20)
		}
	}
	return ""
}
