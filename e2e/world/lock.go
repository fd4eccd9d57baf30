package world

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// lockPath is one for the machine, as the sandbox is.
const lockPath = "/run/serin-world.lock"

// lock keeps two processes from clearing each other's world. The system lets go
// of it when the process ends, however it ends; until then the file stays open,
// and locked, since its value is kept.
var lock = sync.OnceValues(func() (*os.File, error) {
	file, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR, 0o600)
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
	return nil, errors.Join(fmt.Errorf("world: lock %s: %w", lockPath, err), file.Close())
})
