package world

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// watch begins to follow what a story waits for: it looks some times a second, and
// to ask the API server each time costs more than all of Serin's work. A kind
// is watched from its first read on.
func (w *World) watch(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) error {
	canaries, err := labels.NewRequirement(v1alpha1.LabelArm, selection.Exists, nil)
	if err != nil {
		return err
	}
	watched, err := cache.New(config, cache.Options{
		Scheme:           scheme,
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Label: labels.NewSelector().Add(*canaries)}},
		DefaultTransform: cache.TransformStripManagedFields(),
		// What is read goes on as it was: without a word a wait would not tell why
		// nothing comes.
		DefaultWatchErrorHandler: func(watching context.Context, _ *toolscache.Reflector, err error) {
			if watching.Err() == nil && !errors.Is(err, io.EOF) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				_, _ = fmt.Fprintf(w.options.Progress, "the cluster cannot be watched: %v\n", err)
			}
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- watched.Start(ctx) }()
	w.Watched = watched
	w.unwatch = func() error {
		stop()
		return <-ended
	}
	if !watched.WaitForCacheSync(ctx) {
		return errors.Join(errors.New("the cluster cannot be watched"), w.unwatch())
	}
	return nil
}
