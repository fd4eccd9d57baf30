// Package servers runs the metric servers that Serin's documentation names, each
// built from its Go module as e2e/tools pins it, and tries analysis/prometheus
// against them by the suite of analysis/sourcetest.
//
// Everything listens on loopback at free ports, keeps its data in a directory of
// the test, and ends with the test's process, however that ends.
package servers
