// Package pipeline finds new images, makes Releases of them, and starts the
// Promotions that bring Releases from Environment to Environment.
package pipeline

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/controllers/internal/turn"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

// Reconciler reconciles Pipelines. Every exported field is needed.
type Reconciler struct {
	// Client reads from the caches; Uncached asks the API server.
	Client   client.Client
	Uncached client.Reader
	Git      *access.Git
	Secrets  access.Secrets
	Catalog  registry.Catalog
	Hints    *hints.Hub
	Recorder events.EventRecorder
	// Now is the clock.
	Now func() time.Time

	looks looks
}

// scope is one reconcile: what was read from the API, and what was found.
type scope struct {
	pipeline   *v1alpha1.Pipeline
	releases   []v1alpha1.Release
	promotions []v1alpha1.Promotion
	// images as they are reported, in the order of the spec.
	images []v1alpha1.ImageStatus
	// troubles found, the gravest first.
	troubles []*trouble.Trouble
	// rejections are what the branch's history says was taken back.
	rejections []environments.Rejection
	// fresh says that releases and promotions are what the API server has, and not
	// what a cache has.
	fresh bool
	// again is when to look next, at the latest after the interval.
	again time.Duration
	now   time.Time
}

// Reconcile discovers, observes, decides, acts and reports.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return turn.Take(ctx, req, r.reconcile)
}

func (r *Reconciler) reconcile(ctx context.Context, name types.NamespacedName) (ctrl.Result, error) {
	s, err := r.gather(ctx, name)
	if err != nil || s == nil {
		return ctrl.Result{}, err
	}
	r.discover(ctx, s)
	if err := r.release(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	plan, err := r.advance(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.reportReleases(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	return r.report(ctx, s, plan)
}

// gather reads the Pipeline and its Releases and Promotions; nil where it is
// gone.
func (r *Reconciler) gather(ctx context.Context, name types.NamespacedName) (*scope, error) {
	s := &scope{pipeline: &v1alpha1.Pipeline{}, now: r.Now().UTC()}
	found, err := turn.Read(ctx, r.Client, name, s.pipeline)
	if err != nil {
		return nil, err
	}
	if !found {
		r.looks.forget(name.String())
		return nil, nil
	}
	if !s.pipeline.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	s.again = turn.Jittered(s.interval())
	return s, s.list(ctx, r.Client)
}

// list reads the Releases and Promotions of the Pipeline.
func (s *scope) list(ctx context.Context, from client.Reader) (err error) {
	s.releases, s.promotions, err = turn.Beside(ctx, from, client.ObjectKeyFromObject(s.pipeline))
	return err
}

// advance decides what enters which Environment next, and does it.
func (r *Reconciler) advance(ctx context.Context, s *scope) (environments.PipelinePlan, error) {
	snapshot := r.observe(ctx, s)
	if err := r.requarantine(ctx, s); err != nil {
		return environments.PipelinePlan{}, err
	}
	snapshot.Releases = s.known()
	plan := environments.DecidePipeline(snapshot, s.now)
	if plan.Create == nil && len(plan.Delete) == 0 {
		return plan, nil
	}
	if s.fresh {
		// A Release was made just now: its Promotion follows without another turn.
		return plan, r.act(ctx, s, plan)
	}
	// A cache may lag behind what was created last: decide on what the API
	// server has before anything is created or deleted.
	if err := s.list(ctx, r.Uncached); err != nil {
		return plan, err
	}
	snapshot.Releases, snapshot.Promotions = s.known(), convert.Promotions(s.promotions)
	plan = environments.DecidePipeline(snapshot, s.now)
	return plan, r.act(ctx, s, plan)
}

func (s *scope) interval() time.Duration { return turn.Interval(s.pipeline) }

// sooner brings the next look forward.
func (s *scope) sooner(after time.Duration) { s.again = min(s.again, max(after, turn.Soon)) }
