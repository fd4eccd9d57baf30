package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// lockPath is one for the machine, as the sandbox is. Who is not root can only
// use clusters that are somewhere else, and has one of their own.
func lockPath() string {
	if id := os.Geteuid(); id != 0 {
		return filepath.Join(os.TempDir(), fmt.Sprintf("serin-world-%d.lock", id))
	}
	return "/run/serin-world.lock"
}

// lock keeps two processes from clearing each other's world. The system lets go
// of it when the process ends, however it ends; until then the file stays open,
// and locked, since its value is kept.
var lock = sync.OnceValues(func() (*os.File, error) {
	path := lockPath()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("world: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another demo or scenario runs on this machine; wait for it or end it")
	}
	return nil, errors.Join(fmt.Errorf("world: lock %s: %w", path, err), file.Close())
})
