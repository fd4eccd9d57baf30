// Command app is the workload of the tests: it runs until it is told to end, and
// answers at :8080 and at :8081. Where MODE says so, it crashes (crash), uses
// memory and a fifth of a processor (hungry), answers 500 at :8081 (astray), or
// has 50 requests a second of its own to count (busy), of which a fourth fail once
// it was asked for /break.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, os.Interrupt)
	var crash <-chan time.Time
	aside := http.StatusOK
	switch os.Getenv("MODE") {
	case "crash":
		crash = time.After(time.Second)
	case "hungry":
		go eat()
	case "astray":
		aside = http.StatusInternalServerError
	case "busy":
		go work()
	}
	go serve(":8080", page())
	go serve(":8081", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		beside.Add(1)
		w.WriteHeader(aside)
	}))
	select {
	case <-end:
	case <-crash:
		os.Exit(1)
	}
}

func serve(address string, handler http.Handler) {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: time.Minute}
	panic(server.ListenAndServe())
}

// Requests of its own by the code, and those that came to :8081.
var (
	good, bad, beside atomic.Int64
	broken            atomic.Bool
)

func page() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "requests_total{code=\"200\"} %d\nrequests_total{code=\"500\"} %d\nbeside_total %d\n", good.Load(), bad.Load(), beside.Load())
	})
	return mux
}

// work counts 50 requests a second.
func work() {
	for n := 0; ; n++ {
		if broken.Load() && n%4 == 0 {
			bad.Add(1)
		} else {
			good.Add(1)
		}
		time.Sleep(20 * time.Millisecond)
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
