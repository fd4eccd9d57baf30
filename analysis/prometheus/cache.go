package prometheus

import (
	"sync"
	"time"

	"github.com/prometheus/common/model"
)

const (
	cacheFor     = 30 * time.Second
	cacheEntries = 8192
	// cacheBytes bounds what all answers weigh that are remembered, and
	// cacheLargest one of them: a larger one is asked for again.
	cacheBytes   = 64 << 20
	cacheLargest = 4 << 20
)

// question names what was asked: of which client, what, and for which instant.
type question struct {
	client *Client
	query  string
	at     int64
}

// cache remembers answers about past instants, which do not change, for all
// clients of a Pool. The oldest make room.
type cache struct {
	mu      sync.Mutex
	answers map[question]model.Value
	// order is that of their age, and so that of their end.
	order []remembered
	// weight of all, in bytes.
	weight int64
}

type remembered struct {
	question question
	until    time.Time
	weight   int64
}

func newCache() *cache { return &cache{answers: map[question]model.Value{}} }

func (c *cache) get(q question) (model.Value, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(time.Now())
	value, ok := c.answers[q]
	return value, ok
}

func (c *cache) put(q question, value model.Value) {
	weight := weigh(value) + int64(len(q.query))
	if weight > cacheLargest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.expire(now)
	if _, known := c.answers[q]; known {
		return
	}
	c.answers[q] = value
	c.order = append(c.order, remembered{question: q, until: now.Add(cacheFor), weight: weight})
	for c.weight += weight; c.weight > cacheBytes || len(c.order) > cacheEntries; {
		c.dropOldest()
	}
}

func (c *cache) expire(now time.Time) {
	for len(c.order) > 0 && now.After(c.order[0].until) {
		c.dropOldest()
	}
}

func (c *cache) dropOldest() {
	oldest := c.order[0]
	delete(c.answers, oldest.question)
	c.weight -= oldest.weight
	c.order[0] = remembered{} // the slice's array keeps it otherwise
	c.order = c.order[1:]
}

// What parts of an answer take in memory, roughly, in bytes.
const (
	seriesWeight    = 160
	labelWeight     = 48
	sampleWeight    = 16
	histogramWeight = 80
	bucketWeight    = 40
)

// weigh estimates what an answer takes in memory, in bytes.
func weigh(value model.Value) int64 {
	switch v := value.(type) {
	case model.Matrix:
		var sum int64
		for _, stream := range v {
			sum += weighLabels(stream.Metric) + sampleWeight*int64(len(stream.Values))
			for _, pair := range stream.Histograms {
				sum += weighHistogram(pair.Histogram)
			}
		}
		return sum
	case model.Vector:
		var sum int64
		for _, sample := range v {
			sum += weighLabels(sample.Metric) + sampleWeight + weighHistogram(sample.Histogram)
		}
		return sum
	case *model.String:
		return seriesWeight + int64(len(v.Value))
	}
	return seriesWeight
}

func weighLabels(labels model.Metric) int64 {
	weight := int64(seriesWeight)
	for name, value := range labels { // a sum, in any order
		weight += labelWeight + int64(len(name)+len(value))
	}
	return weight
}

func weighHistogram(h *model.SampleHistogram) int64 {
	if h == nil {
		return 0
	}
	return histogramWeight + bucketWeight*int64(len(h.Buckets))
}
