package pace_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/embedded/pace"
)

// patience is how long a test waits for the server to hang up.
const patience = time.Minute

func connect(t *testing.T, handler http.HandlerFunc, limits pace.Limits, request string) net.Conn {
	t.Helper()
	server := httptest.NewServer(pace.Handler(handler, limits))
	t.Cleanup(server.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A client that stands still in the middle of its body is hung up on, be the
// body read by the handler or not.
func TestBodiesThatNeverEnd(t *testing.T) {
	const request = "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegin"
	handlers := map[string]http.HandlerFunc{
		"read": func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the body ended with %v", err)
			}
		},
		"refused": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, handler, pace.Limits{Grace: 300 * time.Millisecond}, request)
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server waits for the body still")
			}
		})
	}
}

// A byte now and then is not progress enough.
func TestDrippingBodies(t *testing.T) {
	ended := make(chan error, 1)
	conn := connect(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}, pace.Limits{Grace: time.Second, Rate: 1 << 20}, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
	drip := time.NewTicker(50 * time.Millisecond)
	defer drip.Stop()
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the body ended with %v", err)
			}
			return
		case <-drip.C:
			// The server may have hung up.
			_, _ = conn.Write([]byte("x"))
		}
	}
}

// A client that does not take its answer does not keep the handler.
func TestAnswersThatNobodyTakes(t *testing.T) {
	ended := make(chan error, 1)
	connect(t, func(w http.ResponseWriter, _ *http.Request) {
		part := bytes.Repeat([]byte("x"), 1<<20)
		for {
			if _, err := w.Write(part); err != nil {
				ended <- err
				return
			}
		}
	}, pace.Limits{Grace: 300 * time.Millisecond, Rate: 1 << 40}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the handler writes still")
	}
}

// Whoever keeps the pace may take longer than the grace; the handler's own time
// does not count, and the connection serves on.
func TestSteadyClientsAreServed(t *testing.T) {
	grace := 500 * time.Millisecond
	release := make(chan time.Time, 2)
	conn := connect(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		<-release
		if r.Context().Err() != nil {
			t.Error("the request was given up while it was worked on")
		}
		fmt.Fprintf(w, "%d bytes, %v", n, err)
	}, pace.Limits{Grace: grace}, "")
	reader := bufio.NewReader(conn)
	for range 2 {
		timer := time.AfterFunc(2*grace, func() { release <- time.Now() })
		defer timer.Stop()
		if _, err := io.WriteString(conn, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || !strings.HasPrefix(string(text), "4 bytes, <nil>") {
			t.Errorf("got %q, %v", text, err)
		}
	}
}
