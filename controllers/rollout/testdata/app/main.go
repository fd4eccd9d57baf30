// Command app is the workload of the tests: it runs until it is told to end. It
// crashes, or uses memory and a fifth of a processor, where MODE says so.
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
	if os.Getenv("MODE") == "hungry" {
		go eat()
	}
	select {
	case <-end:
	case <-crash:
		os.Exit(1)
	}
}

// eat holds 64 MiB and works for 20 of each 100 ms.
func eat() {
	held := make([]byte, 64<<20)
	for round := byte(1); ; round++ {
		for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
			for i := 0; i < len(held); i += 4096 {
				held[i] = round
			}
		}
		time.Sleep(80 * time.Millisecond)
	}
}
