package webhooks_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/serin-gitops/serin/web/webhooks"
)

// trickle begins a webhook and never ends its body.
func trickle(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /hooks/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answer is the status of what the server says, however late; 0 where it hangs
// up without a word.
func answer(t *testing.T, conn net.Conn) int {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the server waits for the body still")
		}
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// A stranger who never ends a body is hung up on, and many of them together
// take up no more memory than a few.
func TestSlowBodies(t *testing.T) {
	const atOnce = 4
	receiver, _, _ := newReceiver(t, webhooks.Options{BodyTimeout: 2 * time.Second, Bodies: atOnce})
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	var slow []net.Conn
	for range atOnce + 1 {
		slow = append(slow, trickle(t, address))
	}
	counts := map[int]int{}
	for _, conn := range slow {
		counts[answer(t, conn)]++
	}
	if counts[http.StatusServiceUnavailable] != 1 || counts[http.StatusRequestTimeout] != atOnce {
		t.Errorf("answers %v, want %d of 408 and one of 503", counts, atOnce)
	}
	if code := post(receiver, "/hooks/team/web", body, "X-Gitlab-Token", "web-secret").Code; code != http.StatusAccepted {
		t.Errorf("a webhook after them gets %d", code)
	}
}
