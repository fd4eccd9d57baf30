package prometheus

import (
	"github.com/prometheus/common/model"

	"github.com/serin-gitops/serin/analysis"
)

// histogram takes over the buckets of a native histogram.
func histogram(h *model.SampleHistogram) *analysis.Histogram {
	out := &analysis.Histogram{Buckets: make([]analysis.Bucket, 0, len(h.Buckets))}
	for _, b := range h.Buckets {
		out.Buckets = append(out.Buckets, analysis.Bucket{Lower: float64(b.Lower), Upper: float64(b.Upper), Count: float64(b.Count)})
	}
	return out
}
