// Package templates holds tests of the ready-made analysis templates against what
// they are for: a running Traefik and a program instrumented with the
// OpenTelemetry SDK, scraped by a running Prometheus.
package templates
