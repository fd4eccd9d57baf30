package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRunSendsItsCount(t *testing.T) {
	var requests atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(target.Close)
	err := run(t.Context(), []string{"--url", target.URL, "--rate", "500", "--count", "20", "--listen", "127.0.0.1:0", "--linger", "0s"})
	if err != nil {
		t.Fatal(err)
	}
	if got := requests.Load(); got != 20 {
		t.Errorf("%d requests were sent, want 20", got)
	}
}

func TestRunRefusesALoadWithoutBound(t *testing.T) {
	err := run(t.Context(), []string{"--url", "http://127.0.0.1:1/"})
	if err == nil || !strings.Contains(err.Error(), "no bound") {
		t.Errorf("got error %v, want one that asks for a bound", err)
	}
}
