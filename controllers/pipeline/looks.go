package pipeline

import (
	"strings"
	"sync"
	"time"

	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/registry"
)

// looks remember what the registries said last, so that they are asked once an
// interval or after a hint, and how long each asked to be left alone. They only
// save requests: a new process asks again.
type looks struct {
	mu     sync.Mutex
	images map[string]look
	hosts  map[string]patience
}

// look is the last answer about one image of one Pipeline.
type look struct {
	at time.Time
	// hints there were about the image when it was asked, and the question.
	hints    uint64
	question string
	// artifact chosen; the zero value where none was.
	artifact registry.Artifact
	reason   string
	trouble  *trouble.Trouble
}

// patience is for a registry that failed or asked for it.
type patience struct {
	until    time.Time
	failures int
}

// Bounds of the patience with a registry that does not say how long.
const (
	leastPatience = 2 * time.Second
	mostPatience  = 5 * time.Minute
)

func (l *looks) last(key string) (look, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.images[key]
	return found, ok
}

func (l *looks) keep(key string, found look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.images == nil {
		l.images = map[string]look{}
	}
	l.images[key] = found
}

// forget drops what is known of a Pipeline's images.
func (l *looks) forget(pipeline string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.images {
		if strings.HasPrefix(key, pipeline+" ") {
			delete(l.images, key)
		}
	}
}

// wait says until when a registry is left alone.
func (l *looks) wait(host string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hosts[host].until
}

// failed leaves a registry alone for as long as it asked for, or twice as long
// as the last time.
func (l *looks) failed(host string, asked time.Duration, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts == nil {
		l.hosts = map[string]patience{}
	}
	p := l.hosts[host]
	delay := asked
	if delay <= 0 {
		delay = min(leastPatience<<min(p.failures, 16), mostPatience)
	}
	l.hosts[host] = patience{until: now.Add(delay), failures: p.failures + 1}
	return now.Add(delay)
}

func (l *looks) succeeded(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hosts, host)
}
