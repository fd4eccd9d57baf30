// Command otelweb is an HTTP server instrumented with the OpenTelemetry SDK as its
// documentation says (otelhttp, exported to Prometheus): the workload that the
// template opentelemetry-http is tried on. GET /buy?code=503&delay=300ms answers
// with the code after the delay, and says which arm ($ARM) answered.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// maxDelay bounds how long a request may ask to take.
const maxDelay = 5 * time.Second

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return fmt.Errorf("prometheus exporter: %w", err)
	}
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	mux := http.NewServeMux()
	mux.Handle("GET /buy", otelhttp.NewHandler(http.HandlerFunc(buy), "buy", otelhttp.WithMeterProvider(meters)))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// buy answers as it is asked to.
func buy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Arm", os.Getenv("ARM"))
	code, delay := http.StatusOK, time.Duration(0)
	if text := r.URL.Query().Get("code"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 200 || n > 599 {
			http.Error(w, "code must be from 200 to 599", http.StatusBadRequest)
			return
		}
		code = n
	}
	if text := r.URL.Query().Get("delay"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > maxDelay {
			http.Error(w, "delay must be from 0 to 5s", http.StatusBadRequest)
			return
		}
		delay = d
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	w.WriteHeader(code)
}
