// Package record keeps the observations of a trial, so that it can be drawn and
// judged again.
package record

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
)

const (
	// MaxBytes bounds a record in bytes as it is written, so that it fits into an
	// object of the API server beside the state.
	MaxBytes = 480 << 10
	// chunk is how many bytes of lines are packed together: more than the 32 KiB
	// that gzip looks back, so that little is lost by packing them apart, and a
	// look costs the same however long the trial is.
	chunk = 64 << 10
)

// Record keeps every observation of a trial, as it was judged, in compact
// lines of JSON: enough to draw the trial and to judge it again bit for bit. When
// it is half full it notes the judge's state; when it is full, what is before that
// note goes, and the record begins with it: so it always holds the newest looks,
// and leads from the state before them to the state after them. A copy is not to
// be added to: it shares what was packed.
type Record struct {
	// packed are members of gzip, loose the lines after them; half is where the
	// note begins in packed, 0 where there is none.
	packed, loose []byte
	half          int
	spec          analysis.Spec
	full          bool
	// began and names turn instants and checks into short numbers.
	began  time.Time
	checks []analysis.Check
	names  map[string]int
	// last is what was recorded last for each check, in the order of the spec.
	last []analysis.Observation
}

// header is the first line of a record, and the note at its half.
type header struct {
	Version int            `json:"version"`
	Spec    analysis.Spec  `json:"spec"`
	State   analysis.State `json:"state"`
}

// line is any other line: a look, the begin of a step, or, in records of Serins
// that kept the oldest looks, the end of the room.
type line struct {
	// Now is when it was judged, in nanoseconds since the trial began.
	Now  int64  `json:"t"`
	Step bool   `json:"step,omitempty"`
	Full bool   `json:"full,omitempty"`
	Seen []seen `json:"o,omitempty"`
}

// seen is a short Observation. End and Length are in nanoseconds.
type seen struct {
	Check  int   `json:"c"`
	End    int64 `json:"e"`
	Length int64 `json:"l,omitempty"`
	// Counts are stable's total and failed and the canary's.
	Counts  []float64              `json:"n,omitempty"`
	Unseen  bool                   `json:"x,omitempty"`
	Value   *float64               `json:"v,omitempty"`
	Probes  []analysis.ProbeResult `json:"p,omitempty"`
	Pods    []analysis.PodState    `json:"d,omitempty"`
	Usage   *usage.Seen            `json:"u,omitempty"`
	Answer  *analysis.Answer       `json:"g,omitempty"`
	Absence *analysis.Absence      `json:"a,omitempty"`
	// Same means: what was seen is what this check saw before.
	Same bool `json:"s,omitempty"`
}

// New begins the record of a trial from the state before its first look
// (after Learn).
func New(spec analysis.Spec, state analysis.State) (Record, error) {
	text, err := headerLine(spec, state)
	return emptyRecord(spec, state, text), err
}

func headerLine(spec analysis.Spec, state analysis.State) ([]byte, error) {
	encoded, err := json.Marshal(header{Version: analysis.StateVersion, Spec: spec, State: state})
	if err != nil {
		return nil, fmt.Errorf("record the analysis: %w", err)
	}
	return append(encoded, '\n'), nil
}

func emptyRecord(spec analysis.Spec, state analysis.State, text []byte) Record {
	r := Record{spec: spec, loose: text, began: state.Started, checks: spec.Checks, names: map[string]int{}, last: make([]analysis.Observation, len(spec.Checks))}
	for i, c := range spec.Checks {
		r.names[c.Name] = i
	}
	return r
}

// String is the record, packed, from which Parse makes it again.
func (r Record) String() string {
	return base64.StdEncoding.EncodeToString(append(slices.Clone(r.packed), compress(r.loose)...))
}

// Look adds what one call of Judge was given, beside the state before it. What
// Judge takes for missing, such as counts that are not numbers, is recorded as
// that.
func (r *Record) Look(before analysis.State, observations []analysis.Observation, now time.Time) error {
	if err := r.makeRoom(before); err != nil {
		return err
	}
	l := line{Now: now.Sub(r.began).Nanoseconds()}
	last := append([]analysis.Observation(nil), r.last...)
	for _, o := range observations {
		i, known := r.names[o.Check]
		if !known {
			continue
		}
		l.Seen = append(l.Seen, r.shorten(i, o, last[i]))
		last[i] = o
	}
	if len(l.Seen) == 0 {
		return nil
	}
	if err := r.add(l); err != nil {
		return err
	}
	r.last = last
	return nil
}

// makeRoom notes the state once the record is half full, and lets the older half
// go once it is full.
func (r *Record) makeRoom(state analysis.State) error {
	if r.size() > MaxBytes && r.half > 0 {
		r.packed, r.half = slices.Clone(r.packed[r.half:]), 0
	}
	if r.half > 0 || r.size() <= MaxBytes/2 {
		return nil
	}
	note, err := headerLine(r.spec, state)
	if err != nil {
		return err
	}
	r.flush()
	r.half, r.loose = len(r.packed), note
	// What comes after has to be read without what is before.
	r.last = make([]analysis.Observation, len(r.checks))
	return nil
}

// size of the record as it is written, in bytes, at most.
func (r *Record) size() int { return base64.StdEncoding.EncodedLen(len(r.packed) + len(r.loose)) }

// flush packs the loose lines.
func (r *Record) flush() {
	if len(r.loose) > 0 {
		r.packed, r.loose = append(r.packed, compress(r.loose)...), nil
	}
}

// BeginStep adds that a step began.
func (r *Record) BeginStep(now time.Time) error {
	return r.add(line{Now: now.Sub(r.began).Nanoseconds(), Step: true})
}

func (r *Record) add(l line) error {
	if r.full {
		return nil
	}
	encoded, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("record a look: %w", err)
	}
	r.loose = append(append(r.loose, encoded...), '\n')
	if len(r.loose) >= chunk {
		r.flush()
	}
	return nil
}

func (r *Record) shorten(check int, o, last analysis.Observation) seen {
	s := seen{Check: check, End: o.Window.End.Sub(r.began).Nanoseconds(), Length: o.Window.End.Sub(o.Window.Start).Nanoseconds()}
	switch {
	case analysis.Missing(r.checks[check], o) != nil:
		s.Absence = analysis.Missing(r.checks[check], o)
	case o.Stable != nil && o.Canary != nil:
		s.Counts, s.Unseen = []float64{o.Stable.Total, o.Stable.Failed, o.Canary.Total, o.Canary.Failed}, o.Unseen
	case o.Value != nil:
		s.Value = o.Value
	case o.Usage != nil:
		s.Usage = o.Usage
	case reflect.DeepEqual(o.Probes, last.Probes) && reflect.DeepEqual(o.Pods, last.Pods) && reflect.DeepEqual(o.Answer, last.Answer):
		s.Same = true
	default:
		s.Probes, s.Pods, s.Answer = o.Probes, o.Pods, o.Answer
	}
	return s
}

func (r *Record) lengthen(name string, s seen, last analysis.Observation) analysis.Observation {
	end := r.began.Add(time.Duration(s.End))
	o := analysis.Observation{Check: name, Window: analysis.Window{Start: end.Add(-time.Duration(s.Length)), End: end}, Unseen: s.Unseen, Value: s.Value, Probes: s.Probes, Pods: s.Pods, Usage: s.Usage, Answer: s.Answer, Absence: s.Absence}
	if s.Same {
		o.Probes, o.Pods, o.Answer = last.Probes, last.Pods, last.Answer
	}
	if len(s.Counts) == 4 {
		o.Stable = &analysis.Counts{Total: s.Counts[0], Failed: s.Counts[1]}
		o.Canary = &analysis.Counts{Total: s.Counts[2], Failed: s.Counts[3]}
	}
	return o
}

// Parse reads a record as String gave it, so that looks can be added to it.
func Parse(packed string) (Record, error) {
	text, err := Unpack(packed)
	if err != nil {
		return Record{}, err
	}
	var r Record
	err = replay(text, func(begun Record, _ header) { r = begun }, func(l line, observations []analysis.Observation, _ time.Time) {
		r.full = r.full || l.Full
		for _, o := range observations {
			r.last[r.names[o.Check]] = o
		}
	})
	if note := strings.LastIndex(text, "\n"+noted); note > 0 {
		r.load(text[:note+1])
		r.flush()
		r.half, text = len(r.packed), text[note+1:]
	}
	r.load(text)
	return r, err
}

// noted begins a header, and no other line.
const noted = `{"version":`

// load packs a text but for its end.
func (r *Record) load(text string) {
	for len(text) >= chunk {
		r.packed = append(r.packed, compress([]byte(text[:chunk]))...)
		text = text[chunk:]
	}
	r.loose = []byte(text)
}

// Rejudged is the outcome of judging a record again.
type Rejudged struct {
	Spec    analysis.Spec
	State   analysis.State
	Verdict analysis.Verdict
	// Full is true for a record of a Serin that kept the oldest looks, and had no
	// room for the newest; the verdict is then that of the looks it holds.
	Full bool
}

// Rejudge judges a record, as String gave it, again, from the first look to the
// last.
func Rejudge(packed string) (Rejudged, error) {
	var j Rejudged
	text, err := Unpack(packed)
	if err != nil {
		return j, err
	}
	err = replay(text, func(_ Record, h header) { j.Spec, j.State = h.Spec, h.State }, func(l line, observations []analysis.Observation, now time.Time) {
		switch {
		case l.Full:
			j.Full = true
		case l.Step:
			j.State = analysis.BeginStep(j.State, now)
		default:
			j.State, j.Verdict = analysis.Judge(j.Spec, j.State, observations, now)
		}
	})
	return j, err
}

// replay reads a record line by line.
func replay(text string, begin func(Record, header), each func(line, []analysis.Observation, time.Time)) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 2*MaxBytes)
	if !lines.Scan() {
		return errors.New("the record is empty")
	}
	var h header
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
		return fmt.Errorf("line 1 of the record: %w", err)
	}
	if h.Version != analysis.StateVersion {
		return fmt.Errorf("the record has version %d; this build reads version %d", h.Version, analysis.StateVersion)
	}
	r := emptyRecord(h.Spec, h.State, nil)
	begin(r, h)
	for n := 2; lines.Scan(); n++ {
		if bytes.HasPrefix(lines.Bytes(), []byte(noted)) {
			// The looks before lead to the state noted there.
			r.last = make([]analysis.Observation, len(r.checks))
			continue
		}
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d of the record: %w", n, err)
		}
		var observations []analysis.Observation
		for _, s := range l.Seen {
			if s.Check < 0 || s.Check >= len(h.Spec.Checks) {
				return fmt.Errorf("line %d of the record: there is no check number %d", n, s.Check)
			}
			o := r.lengthen(h.Spec.Checks[s.Check].Name, s, r.last[s.Check])
			r.last[s.Check] = o
			observations = append(observations, o)
		}
		each(l, observations, r.began.Add(time.Duration(l.Now)))
	}
	return lines.Err()
}
