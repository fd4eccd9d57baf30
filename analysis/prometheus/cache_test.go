package prometheus

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
)

// TestCacheIsBounded wants what is remembered bounded by its weight, the oldest
// to make room, and nothing kept for longer than it is used.
func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		answer := model.Matrix{{Values: make([]model.SamplePair, 100_000)}}
		for i := range 100 {
			c.put(question{query: fmt.Sprint(i)}, answer)
			c.put(question{query: fmt.Sprint(i)}, answer)
			if c.weight > cacheBytes {
				t.Fatalf("%d answers weigh %d bytes", len(c.answers), c.weight)
			}
		}
		if n := len(c.answers); n < 35 || n > 45 || n != len(c.order) {
			t.Errorf("%d answers of 1.6 MB and %d of their ends are kept in 64 MiB", n, len(c.order))
		}
		if _, kept := c.get(question{query: "99"}); !kept {
			t.Error("the newest answer made room")
		}
		if _, kept := c.get(question{query: "0"}); kept {
			t.Error("the oldest answer was kept")
		}
		c.put(question{query: "large"}, model.Matrix{{Values: make([]model.SamplePair, 300_000)}})
		if _, kept := c.get(question{query: "large"}); kept {
			t.Error("an answer of 4.8 MB was kept")
		}
		time.Sleep(cacheFor + time.Second) // of the bubble's clock
		if _, kept := c.get(question{query: "99"}); kept || c.weight != 0 || len(c.answers)+len(c.order) != 0 {
			t.Errorf("after their time %d answers of %d bytes are kept", len(c.answers), c.weight)
		}
	})
}

// TestWeigh wants every part of an answer to weigh.
func TestWeigh(t *testing.T) {
	histogram := &model.SampleHistogram{Buckets: make(model.HistogramBuckets, 10)}
	labels := model.Metric{"pod": "a"}
	for name, pair := range map[string][2]model.Value{
		"samples":            {model.Matrix{{}}, model.Matrix{{Values: make([]model.SamplePair, 2)}}},
		"labels":             {model.Matrix{{}}, model.Matrix{{Metric: labels}}},
		"histograms":         {model.Matrix{{}}, model.Matrix{{Histograms: []model.SampleHistogramPair{{Histogram: histogram}}}}},
		"a vector's labels":  {model.Vector{{}}, model.Vector{{Metric: labels}}},
		"a vector's buckets": {model.Vector{{}}, model.Vector{{Histogram: histogram}}},
		"text":               {&model.String{}, &model.String{Value: "text"}},
	} {
		if less, more := weigh(pair[0]), weigh(pair[1]); less <= 0 || more <= less {
			t.Errorf("%s: %d bytes without and %d with them", name, less, more)
		}
	}
}
