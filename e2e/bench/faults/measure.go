package faults

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-gitops/serin/analysis/simulate"
	"github.com/serin-gitops/serin/e2e/bench/figure"
)

// workers are the runs under way at once; most of them wait for a source that hangs.
const workers = 48

// Measure gives what the faults of many seeds cause.
func Measure(ctx context.Context, runs int, progress io.Writer) ([]figure.Figure, error) {
	fmt.Fprintf(progress, "%d schedules of faults of the metric source\n", runs)
	results, err := Runs(ctx, runs)
	if err != nil {
		return nil, err
	}
	var rollbacks, promotions, invented int
	var delays []time.Duration
	for _, r := range results {
		for _, found := range []struct {
			what  string
			count *int
		}{{r.Rollback, &rollbacks}, {r.Promotion, &promotions}, {r.Invented, &invented}} {
			if found.what != "" {
				*found.count++
				fmt.Fprintf(progress, "seed %d: %s (%s)\n", r.Seed, found.what, r.Schedule)
			}
		}
		delays = append(delays, r.Delayed)
	}
	slices.Sort(delays)
	return []figure.Figure{
		share("analysis.faults.rollbacks_caused", rollbacks, runs), share("analysis.faults.promotions_caused", promotions, runs),
		share("analysis.faults.runs_with_invented_requests", invented, runs),
		figure.New("analysis.faults.delay_median", delays[len(delays)/2].Seconds(), "s", runs),
	}, nil
}

func share(name string, hits, runs int) figure.Figure {
	low, high := simulate.Wilson(hits, runs)
	return figure.New(name, float64(hits)/float64(runs), "share", runs).Between(low, high).Max(0)
}

// Runs runs the seeds from 0 on, many at once; the results are in their order.
func Runs(ctx context.Context, runs int) ([]Result, error) {
	lab := NewLab()
	defer lab.Close()
	results := make([]Result, runs)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range results {
		group.Go(func() (err error) {
			results[i], err = lab.Run(ctx, uint64(i))
			return err
		})
	}
	return results, group.Wait()
}
