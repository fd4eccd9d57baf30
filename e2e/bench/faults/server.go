package faults

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// server answers as Prometheus does for many runs, each under a path of its own.
type server struct {
	mu   sync.Mutex
	runs map[string]*session
}

// session is the source of one run.
type session struct {
	seed     uint64
	world    *World
	schedule Schedule
	// now is the time of the run, in nanoseconds since the trial began.
	now atomic.Int64
}

func newServer() *server { return &server{runs: map[string]*session{}} }

func (s *server) open(path string, run *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[path] = run
}

func (s *server) close(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, path)
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	run := s.runs[path]
	s.mu.Unlock()
	if run == nil {
		http.NotFound(w, r)
		return
	}
	run.answer(w, r)
}

var rangePattern = regexp.MustCompile(`^(\{.*\})\[([0-9]+)ms\]$`)

// line is one series of an answer.
type line struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values,omitempty"`
	Value  *[2]any           `json:"value,omitempty"`
}

// reply is an answer of the API.
type reply struct {
	Status   string   `json:"status"`
	Warnings []string `json:"warnings,omitempty"`
	Data     struct {
		Type   string `json:"resultType"`
		Result []line `json:"result"`
	} `json:"data"`
}

// answer gives a question its fault, or the truth.
func (s *session) answer(w http.ResponseWriter, r *http.Request) {
	query, at := r.FormValue("query"), r.FormValue("time")
	seconds, err := strconv.ParseFloat(at, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	age := time.Duration(s.now.Load())
	rng := s.chances(query, age)
	fault, faulty := s.schedule.at(age, rng.Float64())
	if faulty && refuse(w, r, fault.Kind) {
		return
	}
	out := s.reply(query, time.UnixMilli(int64(seconds*1000+0.5)), fault)
	if faulty {
		out.spoil(rng, fault.Kind)
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if faulty && fault.Kind == Truncated {
		encoded = encoded[:rng.IntN(len(encoded))]
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encoded) // a client that has gone away needs no answer
}

// chances are the same for the same question of the same run at the same time.
func (s *session) chances(query string, age time.Duration) *rand.Rand {
	hash := fnv.New64a()
	_, _ = fmt.Fprint(hash, query, age)                // a hash takes every byte
	return rand.New(rand.NewPCG(s.seed, hash.Sum64())) //nolint:gosec // reproducible on purpose
}

// refuse gives no data at all; it says whether that is what the fault does.
func refuse(w http.ResponseWriter, r *http.Request, kind Kind) bool {
	switch kind {
	case Outage:
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
	case Unavailable:
		http.Error(w, "upstream is away", http.StatusServiceUnavailable)
	case Denied:
		http.Error(w, "who are you", http.StatusUnauthorized)
	case Refused:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"a proxy does not understand this"}`)
	default:
		return false
	}
	return true
}

// reply is what is stored, as far as a stale source knows it.
func (s *session) reply(query string, at time.Time, fault Fault) reply {
	out := reply{Status: "success"}
	found := rangePattern.FindStringSubmatch(query)
	if found == nil {
		// The expression of a threshold check: a gauge that never changes.
		out.Data.Type = "vector"
		out.Data.Result = []line{{Metric: map[string]string{"__name__": "queue"}, Value: &[2]any{at.Unix(), "7"}}}
		return out
	}
	out.Data.Type = "matrix"
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(found[1])
	if err != nil {
		return out
	}
	span, err := time.ParseDuration(found[2] + "ms")
	if err != nil {
		return out
	}
	for _, one := range s.world.series {
		if !matches(one.labels, matchers) {
			continue
		}
		if values := one.values(at.Add(-span), at, fault); len(values) > 0 {
			out.Data.Result = append(out.Data.Result, line{Metric: one.metric, Values: values})
		}
	}
	return out
}

func matches(of labels.Labels, matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(of.Get(m.Name)) })
}

// values are the samples with from < time <= to.
func (s stored) values(from, to time.Time, fault Fault) [][2]any {
	var out [][2]any
	since := began.Add(fault.From)
	last := ""
	for _, p := range s.samples {
		value := strconv.FormatFloat(p.Value, 'f', -1, 64)
		if fault.Kind == Repeated && p.Time.After(since) && last != "" {
			value = last
		}
		last = value
		if !p.Time.After(from) || p.Time.After(to) || fault.Kind == Stale && p.Time.After(since) {
			continue
		}
		out = append(out, [2]any{float64(p.Time.UnixMilli()) / 1000, value})
	}
	return out
}

// spoil makes an answer wrong.
func (r *reply) spoil(rng *rand.Rand, kind Kind) {
	switch kind {
	case Empty:
		r.Data.Result = nil
	case DoubleSeries:
		r.Data.Result = append(r.Data.Result, r.Data.Result...)
	case Partial:
		r.Warnings = []string{"a store is away: the answer is partial"}
		r.Data.Result = slices.DeleteFunc(r.Data.Result, func(line) bool { return rng.IntN(2) == 0 })
	case Disorder:
		rng.Shuffle(len(r.Data.Result), func(i, j int) { r.Data.Result[i], r.Data.Result[j] = r.Data.Result[j], r.Data.Result[i] })
	}
	for i := range r.Data.Result {
		one := &r.Data.Result[i]
		switch kind {
		case NaN:
			for j := range one.Values {
				one.Values[j][1] = "NaN"
			}
			if one.Value != nil {
				one.Value = &[2]any{one.Value[0], "NaN"}
			}
		case DoubleSamples:
			one.Values = append(one.Values, slices.Clone(one.Values)...)
		case Disorder:
			rng.Shuffle(len(one.Values), func(i, j int) { one.Values[i], one.Values[j] = one.Values[j], one.Values[i] })
		}
	}
	if r.Data.Result == nil {
		r.Data.Result = []line{}
	}
}
