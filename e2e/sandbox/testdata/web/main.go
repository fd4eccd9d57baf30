// Command web is the pod of the sandbox's own tests: it says its name, calls
// others, and counts its requests for Prometheus and the webhooks it is sent.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	var requests, hooks atomic.Int64
	client := &http.Client{Timeout: 5 * time.Second}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, os.Getenv("HOSTNAME"))
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE web_requests_total counter\nweb_requests_total %d\n", requests.Load())
	})
	http.HandleFunc("POST /hook", func(http.ResponseWriter, *http.Request) { hooks.Add(1) })
	http.HandleFunc("/hooks", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, hooks.Load()) })
	http.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		response, err := client.Get(r.URL.Query().Get("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
