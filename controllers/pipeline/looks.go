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
	// patient is by registry, or by image of a Pipeline.
	patient map[string]patience
}

// look is the last answer about one image of one Pipeline.
type look struct {
	at time.Time
	// hint is the number of the image's last one when it was asked.
	hint     uint64
	question string
	// artifact chosen; the zero value where none was.
	artifact registry.Artifact
	reason   string
	trouble  *trouble.Trouble
}

// patience is for a registry that asked for it, or an image that failed.
type patience struct {
	until    time.Time
	failures int
}

// Bounds of the patience where the registry does not say how long, and of what a
// registry may ask for.
const (
	leastPatience = 2 * time.Second
	mostPatience  = 5 * time.Minute
	longestAsked  = time.Hour
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
	for name := range l.patient {
		if strings.HasPrefix(name, pipeline+" ") {
			delete(l.patient, name)
		}
	}
}

// wait says until when one of these names is left alone.
func (l *looks) wait(names ...string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var until time.Time
	for _, name := range names {
		if p := l.patient[name]; p.until.After(until) {
			until = p.until
		}
	}
	return until
}

// failed leaves a registry or an image alone for as long as it asked for, or
// twice as long as the last time.
func (l *looks) failed(name string, asked time.Duration, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.patient == nil {
		l.patient = map[string]patience{}
	}
	p := l.patient[name]
	delay := min(asked, longestAsked)
	if delay <= 0 {
		delay = min(leastPatience<<min(p.failures, 16), mostPatience)
	}
	l.patient[name] = patience{until: now.Add(delay), failures: p.failures + 1}
	return now.Add(delay)
}

func (l *looks) succeeded(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		delete(l.patient, name)
	}
}
