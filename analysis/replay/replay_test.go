package replay_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/replay"
	"github.com/serin-gitops/serin/analysis/simulate"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// steady is a source in which every pod serves 100 requests in each 10 s, and
// fails a share of them that depends on the pod and the time.
type steady struct {
	failing func(pod string, at time.Time) float64
	err     error
	queries int
	newest  time.Time
}

// Series implements analysis.Source.
func (s *steady) Series(_ context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	s.queries++
	if s.err != nil {
		return nil, s.err
	}
	var all []analysis.Series
	for _, pod := range []string{"canary", "stable"} {
		if !strings.Contains(q.Selector, pod) {
			continue
		}
		for _, code := range []string{"200", "500"} {
			one := analysis.Series{Labels: map[string]string{"__name__": "requests", "pod": pod, "code": code}}
			sum := 0.0
			for at := began.Add(-2 * time.Hour); !at.After(q.End); at = at.Add(10 * time.Second) {
				failed := 100 * s.failing(pod, at)
				if code == "500" {
					sum += failed
				} else {
					sum += 100 - failed
				}
				if at.After(q.Start) {
					one.Samples = append(one.Samples, analysis.Sample{Time: at, Value: sum})
				}
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// Value implements analysis.Source.
func (s *steady) Value(_ context.Context, q analysis.ValueQuery) (float64, error) {
	s.newest = q.At
	return q.At.Sub(began).Minutes(), s.err
}

func release() replay.Release {
	return replay.Release{
		Spec: analysis.Spec{Checks: []analysis.Check{{Name: "errors", Kind: analysis.KindRatio, Interval: 10 * time.Second,
			Ratio: &analysis.Ratio{Total: "requests", Bad: `requests{code="500"}`}}}},
		Steps: []simulate.Step{{Weight: 5, For: 10 * time.Minute}, {Weight: 50, For: 80 * time.Minute}},
		Trial: observe.Trial{Arms: analysis.Arms{Stable: `pod="stable"`, Canary: `pod="canary"`}},
		From:  began, To: began.Add(2 * time.Hour), Interval: 10 * time.Second, Past: 30 * time.Minute,
	}
}

func always(share float64) func(string, time.Time) float64 {
	return func(string, time.Time) float64 { return share }
}

func canaryFrom(from time.Duration) func(string, time.Time) float64 {
	return func(pod string, at time.Time) float64 {
		if pod == "canary" && at.After(began.Add(from)) {
			return 0.5
		}
		return 0
	}
}

func TestEndings(t *testing.T) {
	most := 30.0
	threshold := analysis.Check{Name: "minutes", Kind: analysis.KindThreshold, Interval: 10 * time.Second, Threshold: &analysis.Threshold{Query: "m", Max: &most}}
	tests := map[string]struct {
		failing       func(string, time.Time) float64
		change        func(*replay.Release)
		ending        replay.Ending
		after, before time.Duration
		says          string
	}{
		"as stable":     {always(0.01), func(*replay.Release) {}, replay.Promoted, 90 * time.Minute, 91 * time.Minute, "check errors passes"},
		"bad late":      {canaryFrom(40 * time.Minute), func(*replay.Release) {}, replay.RolledBack, 40 * time.Minute, 41 * time.Minute, "worse with"},
		"a dry run":     {canaryFrom(0), func(r *replay.Release) { r.Spec.Checks[0].DryRun = true }, replay.Promoted, 90 * time.Minute, 91 * time.Minute, "no check decides"},
		"out of bounds": {always(0), func(r *replay.Release) { r.Spec.Checks = []analysis.Check{threshold} }, replay.RolledBack, 30 * time.Minute, 31 * time.Minute, "above the maximum 30"},
		"ends too soon": {always(0), func(r *replay.Release) { r.To = began.Add(30 * time.Minute) }, replay.Undecided, 30 * time.Minute, 30*time.Minute + 1, "check errors passes"},
		"no evidence": {always(0.01), func(r *replay.Release) {
			r.Steps[0].UntilEvidence, r.Steps[0].HoldOnTimeout, r.Spec.Beta = true, true, 1e-300
		}, replay.Undecided, 2 * time.Hour, 2*time.Hour + 1, "check errors passes"},
		"beyond deadline": {always(0.01), func(r *replay.Release) { r.Deadline = time.Hour }, replay.RolledBack, time.Hour, time.Hour + time.Minute, "deadline of 1h;"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := release()
			test.change(&r)
			source := &steady{failing: test.failing}
			got, err := replay.Run(t.Context(), source, r, nil)
			if err != nil {
				t.Fatal(err)
			}
			last := got.Events[len(got.Events)-1]
			if took := got.Ended.Sub(began); got.Ending != test.ending || took < test.after || took >= test.before || !strings.Contains(last.Message, test.says) {
				t.Errorf("%s after %s: %s; want %s from %s to %s with %q", got.Ending, took, last.Message, test.ending, test.after, test.before, test.says)
			}
			if source.newest.After(got.Ended) {
				t.Errorf("it asked for %s, which was yet to come at its end, %s", source.newest, got.Ended)
			}
			// Two hours and 35 minutes are asked for in three pieces, for each arm.
			if source.queries > 6 {
				t.Errorf("%d queries, want at most 6", source.queries)
			}
		})
	}
}

// TestCountsEveryRequestOnce wants what the source has served within the time
// that was judged, across the pieces it was fetched in.
func TestCountsEveryRequestOnce(t *testing.T) {
	got, err := replay.Run(t.Context(), &steady{failing: always(0.01)}, release(), nil)
	if err != nil {
		t.Fatal(err)
	}
	windows := got.State.Checks[0].Through.Sub(began) / (10 * time.Second)
	want := analysis.Counts{Total: 100 * float64(windows), Failed: float64(windows)}
	for _, arm := range []*analysis.Counts{got.Verdict.Checks[0].Canary, got.Verdict.Checks[0].Stable} {
		if diff := cmp.Diff(want.Total, arm.Total); diff != "" || arm.Failed < want.Failed-0.001 || arm.Failed > want.Failed+0.001 {
			t.Errorf("counted %+v, want %+v", *arm, want)
		}
	}
}

// buckets is steady's traffic as native histograms: what fails takes a second,
// the rest a quarter of one.
type buckets struct{ steady }

// Series implements analysis.Source.
func (b *buckets) Series(ctx context.Context, q analysis.SeriesQuery) ([]analysis.Series, error) {
	all, err := b.steady.Series(ctx, q)
	var pods []analysis.Series
	for i := 0; i < len(all); i += 2 {
		good, slow := all[i], all[i+1]
		one := analysis.Series{Labels: map[string]string{"__name__": "seconds", "pod": good.Labels["pod"]}}
		for k, p := range good.Samples {
			one.Samples = append(one.Samples, analysis.Sample{
				Time: p.Time, Value: p.Value + slow.Samples[k].Value,
				Histogram: &analysis.Histogram{Buckets: []analysis.Bucket{
					{Lower: 0.125, Upper: 0.25, Count: p.Value}, {Lower: 0.5, Upper: 1, Count: slow.Samples[k].Value}}},
			})
		}
		pods = append(pods, one)
	}
	return pods, err
}

// TestNativeHistograms replays a release whose canary grows slow.
func TestNativeHistograms(t *testing.T) {
	r := release()
	r.Spec.Checks = []analysis.Check{{Name: "slow", Kind: analysis.KindLatency, Interval: 10 * time.Second,
		Latency: &analysis.Latency{Histogram: "seconds", Native: true, Bound: 0.5}}}
	got, err := replay.Run(t.Context(), &buckets{steady{failing: canaryFrom(40 * time.Minute)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	took, says := got.Ended.Sub(began), got.Events[len(got.Events)-1].Message
	if got.Ending != replay.RolledBack || took < 40*time.Minute || took > 41*time.Minute || !strings.Contains(says, "requests took over 0.5") {
		t.Errorf("%s after %s: %s; want it rolled back within a minute of 40m", got.Ending, took, says)
	}
}

// TestInterrupted ends a replay whose series are all known, and gives nothing of it.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var far []replay.Done
	source := &steady{failing: always(0.01)}
	got, err := replay.Run(ctx, source, release(), func(d replay.Done) {
		if far = append(far, d); d.Looks == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(got.Events) > 0 {
		t.Errorf("error %v, %d events; want the context's error and none", err, len(got.Events))
	}
	want := replay.Done{Answers: source.queries, Looks: 3, Most: 720, Until: began.Add(30 * time.Second)}
	if last := far[len(far)-1]; last != want || len(far) != source.queries+3 {
		t.Errorf("told %d times, at last of %+v; want once for each of %d answers and 3 looks, at last %+v", len(far), last, source.queries, want)
	}
}

func TestRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*replay.Release)
		err    error
		want   string
	}{
		"no check":     {func(r *replay.Release) { r.Spec.Checks = nil }, nil, "no ratio, latency or threshold check"},
		"no step":      {func(r *replay.Release) { r.Steps = nil }, nil, "no step"},
		"no interval":  {func(r *replay.Release) { r.Interval = 0 }, nil, "interval"},
		"backwards":    {func(r *replay.Release) { r.To = began }, nil, "one look"},
		"too long":     {func(r *replay.Release) { r.To = began.Add(5000 * time.Hour) }, nil, "100000"},
		"wrong check":  {func(r *replay.Release) { r.Spec.Checks[0].Ratio.Bad = "" }, nil, "exactly one of bad and good"},
		"source away":  {func(*replay.Release) {}, &analysis.Absence{Kind: analysis.Outage, Message: "gone"}, "past of stable: Outage: gone"},
		"without past": {func(r *replay.Release) { r.Past = 0 }, &analysis.Absence{Kind: analysis.BadQuery, Message: "odd"}, "BadQuery: odd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := release()
			test.change(&r)
			if _, err := replay.Run(t.Context(), &steady{failing: always(0), err: test.err}, r, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
