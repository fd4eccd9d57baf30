package environments

import (
	"strings"
	"testing"
	"time"
)

func TestImageForPeople(t *testing.T) {
	digest := "sha256:00c6b3add55a" + strings.Repeat("f", 52)
	for _, c := range []struct{ reference, short string }{
		{"registry.local:5000/ipfs-kit:v1.1.0@" + digest, "ipfs-kit:v1.1.0@00c6b3add55a"},
		{"ghcr.io/acme/team/web:v2", "web:v2"},
		{"ghcr.io/acme/web@" + digest, "web@00c6b3add55a"},
		{"registry.local:5000/web", "web"},
		{"web:latest", "web:latest"},
		{"web@sha256:short", "web@short"},
	} {
		t.Run(c.reference, func(t *testing.T) {
			image, err := ParseImage(c.reference)
			if err != nil {
				t.Fatal(err)
			}
			if image.String() != c.reference {
				t.Errorf("String() = %q, want what was read", image)
			}
			if got := image.Short(); got != c.short {
				t.Errorf("Short() = %q, want %q", got, c.short)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1h": time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "5m": 5 * time.Minute,
		"10m": 10 * time.Minute, "20s": 20 * time.Second, "1.5s": 1500 * time.Millisecond, "0s": 0, "100h": 100 * time.Hour,
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%d) = %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(Span(d)); err != nil || back != d {
			t.Errorf("Span(%d) = %q, which is %d again: %v", d, Span(d), back, err)
		}
	}
}
