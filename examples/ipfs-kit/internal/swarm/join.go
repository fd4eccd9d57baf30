package swarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

const (
	// IdentityPath is where a node serves its Identity over HTTP.
	IdentityPath = "/api/v0/id"
	askTimeout   = time.Second
	// dialTimeout is short: a master that has just ended answers nothing any more, and
	// the next one waits to be asked.
	dialTimeout = 3 * time.Second
	// resolveTimeout allows for a name server that has to be asked twice.
	resolveTimeout = 6 * time.Second
	maxAnswer      = 64 << 10
)

// Joiner keeps a node connected to its masters.
type Joiner struct {
	node    *Node
	masters []string
	log     *slog.Logger
	client  *retryablehttp.Client
	// known is who answered at each address last, so that a connected master
	// is not asked again.
	known map[string]peer.ID
}

// NewJoiner makes a Joiner for masters, each host:port of an HTTP server that
// serves IdentityPath.
func NewJoiner(node *Node, masters []string, log *slog.Logger) *Joiner {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 0 // Run tries again, after it has asked the other masters
	client.HTTPClient.Timeout = askTimeout
	return &Joiner{node: node, masters: masters, log: log, client: client, known: map[string]peer.ID{}}
}

// Run joins now, and again every interval until ctx ends: a master that
// restarted, or moved to another address, is found again.
func (j *Joiner) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := j.join(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("cannot join every master, will try again", "after", interval.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// join connects to every address of every master that is not connected.
func (j *Joiner) join(ctx context.Context) error {
	var failures []error
	for _, master := range j.masters {
		addresses, err := resolve(ctx, master)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, address := range addresses {
			if id, ok := j.known[address]; ok && j.node.connected(id) {
				continue
			}
			if err := j.joinOne(ctx, address); err != nil {
				failures = append(failures, fmt.Errorf("master %s at %s: %w", master, address, err))
			}
		}
	}
	return errors.Join(failures...)
}

func (j *Joiner) joinOne(ctx context.Context, address string) error {
	id, err := j.ask(ctx, address)
	if err != nil {
		return err
	}
	info, err := addressInfo(id)
	if err != nil {
		return err
	}
	if info.ID == j.node.host.ID() {
		return nil // a master that is told of itself
	}
	// This loop is the back-off; libp2p's own, of minutes, would keep a worker
	// away from a master that has come back.
	if dialer, ok := j.node.host.Network().(*swarm.Swarm); ok {
		dialer.Backoff().Clear(info.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := j.node.host.Connect(ctx, info); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	j.known[address] = info.ID
	j.log.Info("joined master", "peer", info.ID.String(), "address", address)
	return nil
}

// ask reads a master's identity over HTTP: in a private network nobody can be
// dialled without knowing who they are.
func (j *Joiner) ask(ctx context.Context, address string) (Identity, error) {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+IdentityPath, nil)
	if err != nil {
		return Identity{}, fmt.Errorf("ask for the identity: %w", err)
	}
	response, err := j.client.Do(request)
	if err != nil {
		return Identity{}, fmt.Errorf("ask for the identity: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return Identity{}, fmt.Errorf("ask for the identity: HTTP status %d", response.StatusCode)
	}
	var id Identity
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&id); err != nil {
		return Identity{}, fmt.Errorf("read the identity: %w", err)
	}
	return id, nil
}

// resolve gives host:port for every address of master's host name.
func resolve(ctx context.Context, master string) ([]string, error) {
	hostname, port, err := net.SplitHostPort(master)
	if err != nil {
		return nil, fmt.Errorf("master %q is not host:port: %w", master, err)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, hostname)
	if err != nil {
		return nil, fmt.Errorf("master %q: %w", master, err)
	}
	addresses := make([]string, len(found))
	for i, address := range found {
		addresses[i] = net.JoinHostPort(address, port)
	}
	return addresses, nil
}
