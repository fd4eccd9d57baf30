// Package pipeline finds new images, makes Releases of them, and starts the
// Promotions that bring Releases from Environment to Environment.
package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
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

const (
	// soon follows an action whose outcome is to be observed.
	soon = 200 * time.Millisecond
	// defaultInterval stands in for a Pipeline without one.
	defaultInterval = time.Minute
	// jitterShare spreads the looks of many Pipelines.
	jitterShare = 0.1
)

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
	// again is when to look next, at the latest after the interval.
	again time.Duration
	now   time.Time
}

// Reconcile discovers, observes, decides, acts and reports. An object that
// changed since it was read is no failure: it is read again.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	result, err := r.reconcile(ctx, req)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s, err := r.gather(ctx, req.NamespacedName)
	if err != nil || s == nil {
		return ctrl.Result{}, err
	}
	r.discover(ctx, s)
	made, err := r.release(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	plan, err := r.advance(ctx, s, made)
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
	if err := r.Client.Get(ctx, name, s.pipeline); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.looks.forget(name.String())
		}
		return nil, client.IgnoreNotFound(err)
	}
	if !s.pipeline.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	s.again = jittered(s.interval())
	return s, s.list(ctx, r.Client)
}

// list reads the Releases and Promotions of the Pipeline.
func (s *scope) list(ctx context.Context, from client.Reader) error {
	of := []client.ListOption{client.InNamespace(s.pipeline.Namespace), client.MatchingLabels{v1alpha1.LabelPipeline: s.pipeline.Name}}
	var releases v1alpha1.ReleaseList
	if err := from.List(ctx, &releases, of...); err != nil {
		return fmt.Errorf("list Releases of Pipeline %s/%s: %w", s.pipeline.Namespace, s.pipeline.Name, err)
	}
	var promotions v1alpha1.PromotionList
	if err := from.List(ctx, &promotions, of...); err != nil {
		return fmt.Errorf("list Promotions of Pipeline %s/%s: %w", s.pipeline.Namespace, s.pipeline.Name, err)
	}
	s.releases, s.promotions = releases.Items, promotions.Items
	return nil
}

// advance decides what enters which Environment next, and does it.
func (r *Reconciler) advance(ctx context.Context, s *scope, made bool) (environments.PipelinePlan, error) {
	snapshot := r.observe(ctx, s)
	if err := r.requarantine(ctx, s); err != nil {
		return environments.PipelinePlan{}, err
	}
	snapshot.Releases = s.known()
	plan := environments.DecidePipeline(snapshot, s.now)
	if made {
		// One mutation at a time: the next reconcile starts the Promotion.
		plan.Create, s.again = nil, soon
		return plan, nil
	}
	if plan.Create == nil && len(plan.Delete) == 0 {
		return plan, nil
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

func (s *scope) interval() time.Duration {
	if s.pipeline.Spec.Interval.Duration > 0 {
		return s.pipeline.Spec.Interval.Duration
	}
	return defaultInterval
}

// sooner brings the next look forward.
func (s *scope) sooner(after time.Duration) { s.again = min(s.again, max(after, soon)) }

// jittered spreads a delay.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*jitterShare*float64(d)) //nolint:gosec // spreading needs no secret randomness
}
