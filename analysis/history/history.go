// Package history keeps the course of one check's evidence, bounded in size,
// for the chart. It is pure.
package history

import (
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
)

// maxHistory bounds the points kept per check; when full, neighbours merge.
const maxHistory = 240

// History is the course of one check's evidence, bounded: when it is full,
// every two neighbouring points become one, so that the whole trial stays
// visible at half the resolution.
type History struct {
	// Stride is how many looks one point stands for.
	Stride int     `json:"stride,omitempty"`
	Points []Point `json:"points,omitempty"`
}

// Point is the state of a check after one or more looks.
type Point struct {
	At time.Time `json:"at"`
	// Looks merged into this point.
	Looks int `json:"looks"`
	// Stable and Canary are the counts within the point (ratio, latency).
	Stable evidence.Counts `json:"stable"`
	Canary evidence.Counts `json:"canary"`
	// LogEvidence is ln E against the canary, the larger of comparison and guard.
	LogEvidence float64 `json:"logEvidence"`
	// Number is the value of the last look (threshold, probes).
	Number float64 `json:"number,omitempty"`
	Failed bool    `json:"failed,omitempty"`
}

// Add appends a point, merging it into the last one or halving as needed.
func (h History) Add(p Point) History {
	p.Looks = 1
	if h.Stride == 0 {
		h.Stride = 1
	}
	points := append([]Point(nil), h.Points...)
	if n := len(points); n > 0 && points[n-1].Looks < h.Stride {
		points[n-1] = merge(points[n-1], p)
	} else {
		points = append(points, p)
	}
	if len(points) > maxHistory {
		points = halve(points)
		h.Stride *= 2
	}
	h.Points = points
	return h
}

func halve(points []Point) []Point {
	half := make([]Point, 0, len(points)/2+1)
	for i := 0; i < len(points); i += 2 {
		if i+1 < len(points) {
			half = append(half, merge(points[i], points[i+1]))
		} else {
			half = append(half, points[i])
		}
	}
	return half
}

func merge(a, b Point) Point {
	b.Looks += a.Looks
	b.Stable.Add(a.Stable)
	b.Canary.Add(a.Canary)
	b.Failed = b.Failed || a.Failed
	return b
}

// Recent gives the counts of the last n points together.
func (h History) Recent(n int) (canary, stable evidence.Counts) {
	points := h.Points
	if len(points) > n {
		points = points[len(points)-n:]
	}
	for _, p := range points {
		canary.Add(p.Canary)
		stable.Add(p.Stable)
	}
	return canary, stable
}
