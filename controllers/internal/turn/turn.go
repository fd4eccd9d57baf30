// Package turn is what every reconcile of a Pipeline's objects begins and ends
// with: reading the object, what belongs to its Pipeline, meeting a conflict, and
// when to look again.
package turn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

const (
	// Soon follows an action whose outcome is to be observed.
	Soon = 200 * time.Millisecond
	// defaultInterval stands in for a Pipeline without one.
	defaultInterval = time.Minute
	// jitterShare spreads the looks of many objects.
	jitterShare = 0.1
	// concurrency is how many objects are reconciled at a time; each may wait for a
	// registry or a Git host.
	concurrency = 8
	// leastPatience and mostPatience bound the wait after an error, which doubles.
	leastPatience = 250 * time.Millisecond
	mostPatience  = time.Minute
)

// Take runs one reconcile. An object that changed since it was read is no
// failure: it is read again.
func Take(ctx context.Context, req ctrl.Request, reconcile func(context.Context, types.NamespacedName) (ctrl.Result, error)) (ctrl.Result, error) {
	result, err := reconcile(ctx, req.NamespacedName)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: Soon}, nil
	}
	return result, err
}

// Read reads an object; false where it is gone.
func Read(ctx context.Context, from client.Reader, name types.NamespacedName, into client.Object) (bool, error) {
	err := from.Get(ctx, name, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %T %s: %w", into, name, err)
	}
	return true, nil
}

// Beside reads the Releases and Promotions of a Pipeline.
func Beside(ctx context.Context, from client.Reader, pipeline types.NamespacedName) ([]v1alpha1.Release, []v1alpha1.Promotion, error) {
	of := []client.ListOption{client.InNamespace(pipeline.Namespace), client.MatchingLabels{v1alpha1.LabelPipeline: pipeline.Name}}
	var releases v1alpha1.ReleaseList
	if err := from.List(ctx, &releases, of...); err != nil {
		return nil, nil, fmt.Errorf("list Releases of Pipeline %s: %w", pipeline, err)
	}
	var promotions v1alpha1.PromotionList
	if err := from.List(ctx, &promotions, of...); err != nil {
		return nil, nil, fmt.Errorf("list Promotions of Pipeline %s: %w", pipeline, err)
	}
	return releases.Items, promotions.Items, nil
}

// Interval is between two looks where nothing wakes the controller.
func Interval(pipeline *v1alpha1.Pipeline) time.Duration {
	if pipeline.Spec.Interval.Duration > 0 {
		return pipeline.Spec.Interval.Duration
	}
	return defaultInterval
}

// Jittered spreads a delay.
func Jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*jitterShare*float64(d)) //nolint:gosec // spreading needs no secret randomness
}

// Options fills in how many turns are taken at a time, and the patience after an
// error, where they are not set.
func Options(options controller.Options) controller.Options {
	if options.MaxConcurrentReconciles == 0 {
		options.MaxConcurrentReconciles = concurrency
	}
	if options.RateLimiter == nil {
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](leastPatience, mostPatience)
	}
	return options
}
