package sandbox

import (
	"net"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// Listen accepts connections at an address inside the sandbox, where the API
// server and pods can reach it. It needs root.
func (c *Cluster) Listen(address string) (net.Listener, error) {
	if c.layout.Dir == "" {
		return nil, errExisting
	}
	return netns.Listen(address)
}
