package pipeline

import (
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestPatienceGrowsAndEnds(t *testing.T) {
	var l looks
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	last := time.Duration(0)
	for range 40 {
		wait := l.failed("ghcr.io", 0, now).Sub(now)
		if wait < last || wait > mostPatience {
			t.Fatalf("waits %s after %s", wait, last)
		}
		last = wait
	}
	if last != mostPatience {
		t.Errorf("waits %s in the end, want %s", last, mostPatience)
	}
	if got := l.failed("ghcr.io", time.Hour, now).Sub(now); got != time.Hour {
		t.Errorf("a registry that asks for an hour gets %s", got)
	}
	if !l.wait("quay.io").IsZero() {
		t.Error("another registry waits as well")
	}
	l.succeeded("ghcr.io")
	if !l.wait("ghcr.io").IsZero() {
		t.Error("patience does not end with success")
	}
	if got := l.failed("ghcr.io", 0, now).Sub(now); got != leastPatience {
		t.Errorf("waits %s after a success, want %s", got, leastPatience)
	}
}

func TestForgetDropsOnePipelineOnly(t *testing.T) {
	var l looks
	l.keep("ns/app registry/a", look{reason: "one"})
	l.keep("ns/app2 registry/a", look{reason: "two"})
	l.forget("ns/app")
	if _, known := l.last("ns/app registry/a"); known {
		t.Error("the Pipeline's images are known still")
	}
	if _, known := l.last("ns/app2 registry/a"); !known {
		t.Error("another Pipeline's images were forgotten")
	}
}

func TestAskedAs(t *testing.T) {
	for _, c := range []struct{ repository, endpoint, want string }{
		{"ghcr.io/acme/web", "", "ghcr.io/acme/web"},
		{"ghcr.io/acme/web", "mirror:5000", "mirror:5000/acme/web"},
		{"acme/web", "mirror:5000", "mirror:5000/acme/web"},
	} {
		if got := askedAs(v1alpha1.ImageSource{Repository: c.repository, Endpoint: c.endpoint}); got != c.want {
			t.Errorf("%s at %q is asked as %s, want %s", c.repository, c.endpoint, got, c.want)
		}
	}
}
