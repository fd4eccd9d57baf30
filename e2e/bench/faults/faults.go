// Package faults puts a source of time series that goes wrong before the judge:
// the real client asks a server that, by a seeded schedule, is away, hangs,
// refuses, or answers with too little, too much, the wrong order or numbers that
// are none. Each run has a twin whose source never fails. What the faulty run
// does to a canary that its twin does not is caused by the faults.
package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Kind is one way of going wrong.
type Kind string

// The kinds of fault.
const (
	// Outage closes the connection; Hang never answers; Unavailable is status
	// 503, Refused a status 400 of the API, Denied a 401.
	Outage      Kind = "outage"
	Hang        Kind = "time-out"
	Unavailable Kind = "5xx"
	Refused     Kind = "4xx"
	Denied      Kind = "denied"
	// NaN gives no number for every sample; Empty gives no series.
	NaN   Kind = "NaN"
	Empty Kind = "empty"
	// Stale gives no sample younger than when the fault began. Repeated gives
	// the last value from before it again and again, as if it were new.
	Stale    Kind = "stale"
	Repeated Kind = "repeated"
	// DoubleSeries gives every series twice, DoubleSamples every sample.
	DoubleSeries  Kind = "duplicated series"
	DoubleSamples Kind = "duplicated samples"
	// Disorder shuffles series and samples.
	Disorder Kind = "out of order"
	// Partial leaves half of the series out and warns of it.
	Partial Kind = "partial"
	// Truncated ends the answer in the middle.
	Truncated Kind = "truncated"
	// Backwards stores one sample of one counter too low, once.
	Backwards Kind = "backwards"
)

// Kinds are all of them.
var Kinds = []Kind{
	Outage, Hang, Unavailable, Refused, Denied, NaN, Empty, Stale, Repeated,
	DoubleSeries, DoubleSamples, Disorder, Partial, Truncated, Backwards,
}

// Fault is one kind of fault over a stretch of time, in time since the trial began.
type Fault struct {
	Kind     Kind
	From, To time.Duration
	// Share of the questions that meet it, 0 to 1.
	Share float64
}

// Schedule is the faults of one run.
type Schedule []Fault

const (
	// longestFault bounds one fault; longestHang one that costs real time.
	longestFault = 2 * time.Minute
	longestHang  = 15 * time.Second
)

// NewSchedule draws one to five faults, the first of them of the given kind.
func NewSchedule(rng *rand.Rand, first Kind, within time.Duration) Schedule {
	schedule := make(Schedule, 1+rng.IntN(5))
	for i := range schedule {
		kind := first
		if i > 0 {
			kind = Kinds[rng.IntN(len(Kinds))]
		}
		longest := longestFault
		if kind == Hang {
			longest = longestHang
		}
		from := time.Second + time.Duration(rng.Int64N(int64(within)))
		schedule[i] = Fault{
			Kind: kind, From: from.Truncate(time.Second), To: (from + 1 + time.Duration(rng.Int64N(int64(longest)))).Truncate(time.Second),
			Share: []float64{1, 1, 0.5}[rng.IntN(3)],
		}
	}
	return schedule
}

// at is the fault that a question meets, if any: chance is between 0 and 1.
func (s Schedule) at(age time.Duration, chance float64) (Fault, bool) {
	for _, f := range s {
		if f.Kind != Backwards && age >= f.From && age < f.To && chance < f.Share {
			return f, true
		}
	}
	return Fault{}, false
}

// String lists the faults.
func (s Schedule) String() string {
	var parts []string
	for _, f := range s {
		parts = append(parts, fmt.Sprintf("%s %s-%s (%g)", f.Kind, f.From, f.To, f.Share))
	}
	return strings.Join(parts, ", ")
}
