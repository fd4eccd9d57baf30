package prometheus

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
)

// Pool shares one Client, and so one budget and one cache, among all who use a
// source with the same options. The zero Pool is ready to use.
type Pool struct {
	mu      sync.Mutex
	clients map[[sha256.Size]byte]*Client
}

// maxClients bounds a pool; credentials that rotate leave old clients behind.
const maxClients = 256

// Get gives the client for these options.
func (p *Pool) Get(o Options) (*Client, error) {
	encoded, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("options of prometheus %s: %w", redactURL(o.URL), err)
	}
	key := sha256.Sum256(encoded)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.clients[key]; ok {
		return c, nil
	}
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	if p.clients == nil || len(p.clients) >= maxClients {
		p.clients = map[[sha256.Size]byte]*Client{}
	}
	p.clients[key] = c
	return c, nil
}
