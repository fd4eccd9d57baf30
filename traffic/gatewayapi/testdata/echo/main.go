// Command echo is the workload of the router's tests: it says which arm it is.
package main

import (
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", os.Getenv("ARM"))
	})
	log.Fatal(server.ListenAndServe())
}
