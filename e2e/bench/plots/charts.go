package plots

import (
	"context"
	"fmt"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/e2e/bench/judge"
)

const alpha = 0.01

func scenario(traffic simulate.Traffic, interval time.Duration) simulate.Scenario {
	return simulate.Scenario{
		Traffic: traffic, Steps: simulate.Ramp(5, 50, 10, 30*time.Minute),
		Past: 30 * time.Minute, Interval: interval, Delay: judge.Delay,
	}
}

// falseRollbacks is how often good canaries are rolled back, by traffic.
func falseRollbacks(ctx context.Context, runs int) (chart, error) {
	rates := []float64{1, 10, 100, 300}
	c := chart{
		title: "Good canaries rolled back, 0.1% errors, 30 minutes, looked at every 2 s",
		x:     "requests a second", y: "rolled back (%)", logX: true, yMin: 0, yMax: 4,
	}
	for i, kind := range []struct {
		name    string
		colour  color.Color
		traffic simulate.Traffic
	}{
		{"independent errors", blue, simulate.Traffic{}},
		{"bursts of 10 on average", vermilion, simulate.Traffic{Burst: 10}},
		{"incidents shared with stable", green, simulate.Traffic{Incidents: 6, IncidentLength: 30 * time.Second, IncidentRate: 0.1}},
	} {
		one := curve{name: kind.name, colour: kind.colour}
		// Beside each other, so that no interval hides another.
		aside := 1 + 0.08*float64(i-1)
		for _, rate := range rates {
			traffic := kind.traffic
			traffic.RequestsPerSecond, traffic.Baseline, traffic.Canary = rate, 0.001, 0.001
			sc := scenario(traffic, 2*time.Second)
			results, err := simulate.Run(ctx, simulate.Sequential(simulate.DefaultSpec()), sc, runs, nil)
			if err != nil {
				return c, err
			}
			s := simulate.Summarise(sc, results)
			one.points = append(one.points, plotter.XY{X: aside * rate, Y: 100 * s.Rate})
			one.low, one.high = append(one.low, 100*s.Low), append(one.high, 100*s.High)
		}
		c.curves = append(c.curves, one)
	}
	last := rates[len(rates)-1]
	c.curves = append(c.curves,
		curve{name: "promised: independent errors", colour: grey, points: plotter.XYs{{X: rates[0], Y: 100 * alpha}, {X: last, Y: 100 * alpha}}, dashed: true},
		curve{name: "promised: bursts, incidents", colour: color.Black, points: plotter.XYs{{X: rates[0], Y: 200 * alpha}, {X: last, Y: 200 * alpha}}, dashed: true})
	return c, nil
}

// detection is how long bad canaries last, by how bad they are.
func detection(ctx context.Context, runs int) (chart, error) {
	sequential, plain := simulate.Sequential(simulate.DefaultSpec()), judge.Plain.Judge()
	c := chart{
		title: "Time until a bad canary is rolled back, stable failing at 0.1%, ramp from 5 to 50%",
		x:     "failures of the canary (%)", y: "median seconds", logX: true, logY: true, yMin: 5, yMax: 3000,
	}
	for _, kind := range []struct {
		name     string
		colour   color.Color
		judge    simulate.NewJudge
		interval time.Duration
		rate     float64
		dashed   bool
	}{
		{"Serin, 100 requests/s", blue, sequential, 2 * time.Second, 100, false},
		{"Serin, 10 requests/s", vermilion, sequential, 2 * time.Second, 10, false},
		{"99% over 60 s, 100 requests/s", blue, plain, judge.PlainInterval, 100, true},
	} {
		one := curve{name: kind.name, colour: kind.colour, dashed: kind.dashed}
		for _, bad := range []float64{0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5} {
			sc := scenario(simulate.Traffic{RequestsPerSecond: kind.rate, Baseline: 0.001, Canary: bad}, kind.interval)
			results, err := simulate.Run(ctx, kind.judge, sc, runs, nil)
			if err != nil {
				return c, err
			}
			s := simulate.Summarise(sc, results)
			// Where fewer than half are found there is no median.
			if 2*s.Failed >= s.Runs {
				one.points = append(one.points, plotter.XY{X: 100 * bad, Y: s.Median.Seconds()})
			}
		}
		c.curves = append(c.curves, one)
	}
	return c, nil
}

// evidence is one trial of each kind, as the judge sees it look by look.
func evidence(ctx context.Context) (chart, error) {
	c := chart{
		title: "Evidence against one canary at 100 requests/s, look by look",
		x:     "minutes of the trial", y: "evidence E", logY: true, yMin: 1e-2, yMax: 1e5,
	}
	end := 0.0
	for _, kind := range []struct {
		name    string
		colour  color.Color
		traffic simulate.Traffic
	}{
		{"good: 0.1%, as stable", blue, simulate.Traffic{Canary: 0.001}},
		{"good, errors in bursts of 10", green, simulate.Traffic{Canary: 0.001, Burst: 10}},
		{"bad: 0.5% from minute 5 on", vermilion, simulate.Traffic{Canary: 0.005, BadFrom: 5 * time.Minute}},
	} {
		kind.traffic.RequestsPerSecond, kind.traffic.Baseline = 100, 0.001
		one := curve{name: kind.name, colour: kind.colour}
		if _, err := simulate.Once(ctx, recording(&one.points), scenario(kind.traffic, 2*time.Second), 3); err != nil {
			return c, err
		}
		end = max(end, one.points[len(one.points)-1].X)
		c.curves = append(c.curves, one)
	}
	c.curves = append(c.curves, curve{
		name: fmt.Sprintf("rolled back at 1/alpha = %g", 1/alpha), colour: grey, dashed: true,
		points: plotter.XYs{{X: 0, Y: 1 / alpha}, {X: end, Y: 1 / alpha}},
	})
	return c, nil
}

// recording is the product's judge; it notes the evidence after each look.
func recording(points *plotter.XYs) simulate.NewJudge {
	spec := simulate.DefaultSpec()
	return func(past []analysis.Counts) simulate.Judge {
		return &recorder{spec: spec, points: points, past: past}
	}
}

type recorder struct {
	spec   analysis.Spec
	state  analysis.State
	past   []analysis.Counts
	points *plotter.XYs
}

// Look implements simulate.Judge.
func (r *recorder) Look(o analysis.Observation) (failed, proven bool) {
	w, name := o.Window, r.spec.Checks[0].Name
	o.Check = name
	if r.state.Started.IsZero() {
		r.state = analysis.Learn(analysis.NewState(w.Start), name, r.past)
	}
	var v analysis.Verdict
	r.state, v = analysis.Judge(r.spec, r.state, []analysis.Observation{o}, w.End)
	// What leaves the picture is drawn at its edge.
	shown := math.Min(math.Max(v.Checks[0].Evidence, 1e-2), 1e5)
	*r.points = append(*r.points, plotter.XY{X: w.End.Sub(r.state.Started).Minutes(), Y: shown})
	return v.Outcome == analysis.Fail, v.Proven
}

// BeginStep implements simulate.Judge.
func (r *recorder) BeginStep(now time.Time) { r.state = analysis.BeginStep(r.state, now) }
