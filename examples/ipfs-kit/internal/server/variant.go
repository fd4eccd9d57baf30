package server

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Variant is a way an image of ipfs-kit can be good or bad. It is chosen when
// the image is built.
type Variant string

// The variants.
const (
	// Good works.
	Good Variant = "good"
	// Errors answers 500 to a tenth of the requests to /work.
	Errors Variant = "errors"
	// Slow answers every request to /work 300 ms late.
	Slow Variant = "slow"
	// NoPeers never joins the masters.
	NoPeers Variant = "no-peers"
	// Crash exits two seconds after its start.
	Crash Variant = "crash"
	// Unready never becomes ready.
	Unready Variant = "unready"
)

const (
	errorShare = 0.1
	slowDelay  = 300 * time.Millisecond
	crashAfter = 2 * time.Second
)

// ParseVariant checks the name of a variant.
func ParseVariant(name string) (Variant, error) {
	all := []Variant{Good, Errors, Slow, NoPeers, Crash, Unready}
	if slices.Contains(all, Variant(name)) {
		return Variant(name), nil
	}
	names := make([]string, len(all))
	for i, variant := range all {
		names[i] = string(variant)
	}
	return "", fmt.Errorf("variant %q is unknown: build with -X main.variant= one of %s", name, strings.Join(names, ", "))
}

// Joins tells whether a worker of this variant joins its masters.
func (v Variant) Joins() bool { return v != NoPeers }

// Lifetime is how long a process of this variant lives; 0 means until it is
// told to stop.
func (v Variant) Lifetime() time.Duration {
	if v == Crash {
		return crashAfter
	}
	return 0
}

// delay is how much later than needed /work answers.
func (v Variant) delay() time.Duration {
	if v == Slow {
		return slowDelay
	}
	return 0
}

// failures decides which requests of the Errors variant fail: independently of
// one another and of those of other pods, yet the same ones whenever a pod of
// this name runs.
type failures struct {
	variant Variant
	mu      sync.Mutex
	source  *rand.Rand
}

func newFailures(variant Variant, pod string) *failures {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(pod))                                                     // a hash takes every write
	return &failures{variant: variant, source: rand.New(rand.NewPCG(seed.Sum64(), 0))} //nolint:gosec // not for secrets
}

// next tells whether the next request fails.
func (f *failures) next() bool {
	if f.variant != Errors {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.source.Float64() < errorShare
}
