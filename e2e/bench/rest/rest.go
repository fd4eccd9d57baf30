// Package rest measures Serin in the sandbox: what it asks of Git and of the
// API server while nothing happens, and how much memory it takes.
package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/bench/figure"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/world"
)

const (
	// settling is how long the world is left alone before it is watched, and
	// watched how long then.
	settling, watched = 45 * time.Second, time.Minute
	// release is promoted to see how much memory that takes.
	release = "v1.1.0"
)

// Options of Measure.
type Options struct {
	Profile sandbox.Profile
	// Rest and Memory choose what is measured.
	Rest, Memory bool
	// Files that the deploy repository has beside the example's, for Memory.
	Files int
	// Progress is told what is measured.
	Progress io.Writer
}

// Measure starts a world, which takes the sandbox for itself, measures Serin in
// it, and leaves nothing running.
func Measure(ctx context.Context, o Options) (figures []figure.Figure, err error) {
	settings := world.Options{Profile: o.Profile, Progress: o.Progress}
	if o.Memory {
		settings.Overlays = func(files map[string][]byte) { enlarge(files, o.Files) }
	}
	defer func() { err = errors.Join(err, sandbox.DownAtLast(ctx, sandbox.Options{Progress: o.Progress})) }()
	w, err := world.Start(ctx, settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if o.Rest {
		if figures, err = atRest(ctx, w, o.Progress); err != nil {
			return nil, err
		}
	}
	if o.Memory {
		fmt.Fprintf(o.Progress, "memory, with %d files in the deploy repository\n", o.Files)
		more, err := memory(ctx, w, o.Files)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	return figures, nil
}

// enlarge adds files that have nothing to do with the example, a hundred to a
// directory.
func enlarge(files map[string][]byte, more int) {
	for i := range more {
		name := fmt.Sprintf("teams/team-%02d/app-%03d/file-%02d.yaml", i/10000, i/100%100, i%100)
		files[name] = fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: file-%d}\n", i)
	}
}

// atRest counts requests for a minute in which nothing happens.
func atRest(ctx context.Context, w *world.World, progress io.Writer) ([]figure.Figure, error) {
	fmt.Fprintf(progress, "at rest: %s to settle, %s watched\n", settling, watched)
	if err := wait(ctx, settling); err != nil {
		return nil, err
	}
	serin, err := findSerin(ctx, w)
	if err != nil {
		return nil, err
	}
	leases, err := watchLease(ctx, w)
	if err != nil {
		return nil, err
	}
	defer leases.stop()
	before, err := serin.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, watched); err != nil {
		return nil, err
	}
	after, err := serin.read(ctx)
	if err != nil {
		return nil, err
	}
	renewals := leases.count()
	perMinute := func(count float64) float64 { return count / watched.Minutes() }
	return []figure.Figure{
		figure.New("rest.git_fetches", perMinute(after.fetches-before.fetches), "/min", 1).Max(0),
		figure.New("rest.git_polls", perMinute(after.lists-before.lists), "/min", 1),
		figure.New("rest.api_writes_beyond_lease", perMinute(max(0, after.writes-before.writes-float64(renewals))), "/min", 1).Max(0),
		figure.New("rest.lease_renewals", perMinute(float64(renewals)), "/min", 1),
		figure.New("rest.api_reads", perMinute(after.reads-before.reads), "/min", 1),
		figure.New("rest.memory", after.resident/(1<<20), "MiB", 1),
	}, nil
}

// memory promotes once and gives the most memory that Serin's process ever had.
func memory(ctx context.Context, w *world.World, files int) ([]figure.Figure, error) {
	if _, err := w.PushImage(ctx, release, images.Good); err != nil {
		return nil, err
	}
	if _, err := w.WaitPhase(ctx, world.Environments[0], release, 5*time.Minute, v1alpha1.PromotionSucceeded); err != nil {
		return nil, err
	}
	serin, err := findSerin(ctx, w)
	if err != nil {
		return nil, err
	}
	peak, err := serin.peak()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("memory.controller_%s_%d_files.peak", w.Profile, files)
	return []figure.Figure{figure.New(name, float64(peak)/(1<<20), "MiB", 1).Max(150)}, nil
}

// wait lets time pass.
func wait(ctx context.Context, span time.Duration) error {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
