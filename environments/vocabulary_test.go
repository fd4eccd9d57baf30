package environments

import (
	"strings"
	"testing"
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
