package counting

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Rates gives how fast the counters of each pod rose in a window, in units a
// second, summed over the pod's containers: cores, from counters of CPU seconds.
// The pods are in the order of their names.
//
// A counter rises from its last sample at or before the window's start to its
// last one in the window, and its rate is over the time between these two: an
// agent such as cAdvisor takes samples when it likes. A pod of which a container
// has no two such samples is left out.
func Rates(w analysis.Window, series []analysis.Series) []float64 {
	return perPod(w, series, rate)
}

// Values gives the last value of each pod's gauges in a window, summed over its
// containers: bytes, from gauges of memory. The pods are in the order of their
// names; one without a sample in the window is left out.
func Values(w analysis.Window, series []analysis.Series) []float64 {
	return perPod(w, series, func(w analysis.Window, samples []analysis.Sample) (float64, bool) {
		last := samples[len(samples)-1]
		return last.Value, last.Time.After(w.Start)
	})
}

// Pods is how many pods the series are of that had a sample up to a window's
// end.
func Pods(w analysis.Window, series []analysis.Series) int {
	seen := map[string]bool{}
	for _, s := range series {
		if len(usable(w, s.Samples)) > 0 {
			seen[target(s.Labels)] = true
		}
	}
	return len(seen)
}

// perPod sums what measure finds of each container, by pod. A container that
// ended before the window says nothing of the pod; one in the window that cannot
// be measured leaves the pod out, since a part of it would look like less.
func perPod(w analysis.Window, series []analysis.Series, measure func(analysis.Window, []analysis.Sample) (float64, bool)) []float64 {
	type pod struct {
		name string
		sum  float64
		none bool
	}
	var pods []pod
	at := map[string]int{}
	for _, c := range containers(w, series) {
		if !c.samples[len(c.samples)-1].Time.After(w.Start) {
			continue
		}
		i, known := at[c.pod]
		if !known {
			i = len(pods)
			at[c.pod] = i
			pods = append(pods, pod{name: c.pod})
		}
		value, ok := measure(w, c.samples)
		pods[i].sum, pods[i].none = pods[i].sum+value, pods[i].none || !ok
	}
	slices.SortFunc(pods, func(a, b pod) int { return cmp.Compare(a.name, b.name) })
	var out []float64
	for _, p := range pods {
		if !p.none {
			out = append(out, p.sum)
		}
	}
	return out
}

// rate of a counter that may have begun again.
func rate(w analysis.Window, samples []analysis.Sample) (float64, bool) {
	base := 0
	for i, s := range samples {
		if !s.Time.After(w.Start) {
			base = i
		}
	}
	rise := 0.0
	for i := base + 1; i < len(samples); i++ {
		if samples[i].Value >= samples[i-1].Value {
			rise += samples[i].Value - samples[i-1].Value
		} else {
			rise += samples[i].Value
		}
	}
	took := samples[len(samples)-1].Time.Sub(samples[base].Time)
	if took <= 0 {
		return 0, false
	}
	return rise * float64(time.Second) / float64(took), true
}

// container is the samples of one container of a pod, up to a window's end.
type container struct {
	pod, key string
	samples  []analysis.Sample
}

// runs are the labels by which agents tell one run of a container from the next.
var runs = []string{"id", "name", "image", "uid"}

// containers joins the series of a container's runs, one after the other: a
// container that was started again has a new series, and the old one stays in
// sight.
func containers(w analysis.Window, series []analysis.Series) []container {
	byKey := map[string][][]analysis.Sample{}
	var out []container
	for _, s := range series {
		samples := usable(w, s.Samples)
		if len(samples) == 0 {
			continue
		}
		labels := make(map[string]string, len(s.Labels))
		for name, value := range s.Labels {
			if !slices.Contains(runs, name) {
				labels[name] = value
			}
		}
		key := analysis.Series{Labels: labels}.Key()
		if byKey[key] == nil {
			out = append(out, container{pod: target(s.Labels), key: key})
		}
		byKey[key] = append(byKey[key], samples)
	}
	for i := range out {
		out[i].samples = join(byKey[out[i].key])
	}
	slices.SortFunc(out, func(a, b container) int { return cmp.Compare(a.key, b.key) })
	return out
}

// join puts the samples of runs one after the other; where two overlap, the
// later one counts.
func join(all [][]analysis.Sample) []analysis.Sample {
	slices.SortFunc(all, func(a, b []analysis.Sample) int { return a[0].Time.Compare(b[0].Time) })
	var joined []analysis.Sample
	for _, next := range all {
		for len(joined) > 0 && !joined[len(joined)-1].Time.Before(next[0].Time) {
			joined = joined[:len(joined)-1]
		}
		joined = append(joined, next...)
	}
	return joined
}

// usable are the samples up to a window's end that are amounts.
func usable(w analysis.Window, samples []analysis.Sample) []analysis.Sample {
	var kept []analysis.Sample
	for _, s := range samples {
		if !s.Time.After(w.End) && s.Value >= 0 && !math.IsInf(s.Value, 0) {
			kept = append(kept, s)
		}
	}
	return kept
}
