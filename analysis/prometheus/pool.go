package prometheus

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Pool shares one Client, and so one budget, among all who use a source with the
// same options, and one amount of memory among all clients: for what they
// remember, and for what they read at once. A client of a pool soon stops asking a
// source that does not answer, and tries now and then whether it is back; it says
// so in the outages that it answers with. The zero Pool is ready to use.
type Pool struct {
	mu      sync.Mutex
	clients map[[sha256.Size]byte]*pooled
	answers *cache
	reading *semaphore.Weighted
}

// pooled is a client and when it was asked for last.
type pooled struct {
	client *Client
	used   time.Time
}

const (
	// maxClients bounds a pool.
	maxClients = 256
	// unused is how long a client is kept that nobody asks for: that of
	// credentials of before, or of a Rollout that has no trial.
	unused = 5 * time.Minute
)

// Get gives the client for these options. Other options give another client;
// the one of before is dropped once nobody has asked for it for a while.
func (p *Pool) Get(o Options) (*Client, error) {
	encoded, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("options of prometheus %s: %w", redactURL(o.URL), err)
	}
	key, now := sha256.Sum256(encoded), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	if known, ok := p.clients[key]; ok {
		known.used = now
		return known.client, nil
	}
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	if p.clients == nil {
		p.clients = map[[sha256.Size]byte]*pooled{}
		p.answers, p.reading = c.answers, c.reading
	}
	c.answers, c.reading, c.breaker = p.answers, p.reading, &breaker{}
	if len(p.clients) >= maxClients {
		p.evict()
	}
	p.clients[key] = &pooled{client: c, used: now}
	return c, nil
}

// Away tells of the address of each source that was asked lately, without what may
// be secret, whether it is away for one of those who use it.
func (p *Pool) Away() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(time.Now())
	sources := make(map[string]bool, len(p.clients))
	for _, one := range p.clients { // in any order: it ends in a map
		where := one.client.clean(one.client.where)
		sources[where] = sources[where] || one.client.breaker.away()
	}
	return sources
}

// expire lets go of the clients that nobody asks for.
func (p *Pool) expire(now time.Time) {
	for key, one := range p.clients {
		if now.Sub(one.used) > unused {
			one.client.release()
			delete(p.clients, key)
		}
	}
}

// evict makes room by the client that was not asked for the longest.
func (p *Pool) evict() {
	var oldest [sha256.Size]byte
	var since time.Time
	for key, one := range p.clients {
		if since.IsZero() || one.used.Before(since) {
			oldest, since = key, one.used
		}
	}
	p.clients[oldest].client.release()
	delete(p.clients, oldest)
}
