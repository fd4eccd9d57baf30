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
// of it when the process ends, however it ends.
var lock = sync.OnceValue(func() error {
	file, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("world: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("world: another demo or scenario runs on this machine; wait for it or end it")
	}
	// The file stays open, and locked, as long as the process lives.
	held = file
	return err
})

var held *os.File
