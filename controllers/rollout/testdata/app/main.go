// Command app is the workload of the tests: it runs until it is told to end, or
// crashes where MODE says so.
package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, os.Interrupt)
	var crash <-chan time.Time
	if os.Getenv("MODE") == "crash" {
		crash = time.After(time.Second)
	}
	select {
	case <-end:
	case <-crash:
		os.Exit(1)
	}
}
