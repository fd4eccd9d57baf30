package observe

import "github.com/serin-gitops/serin/analysis"

// samplesIn gives what a query's window holds of series; those without a sample
// in it are not in the answer.
func samplesIn(q analysis.SeriesQuery, series []analysis.Series) []analysis.Series {
	var out []analysis.Series
	for _, one := range series {
		kept := analysis.Series{Labels: one.Labels}
		for _, sample := range one.Samples {
			if sample.Time.After(q.Start) && !sample.Time.After(q.End) {
				kept.Samples = append(kept.Samples, sample)
			}
		}
		if len(kept.Samples) > 0 {
			out = append(out, kept)
		}
	}
	return out
}
