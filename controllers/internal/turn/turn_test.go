package turn

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestTake(t *testing.T) {
	broken := errors.New("broken")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "releases"}, "app", broken)
	later := ctrl.Result{RequeueAfter: time.Hour}
	for _, c := range []struct {
		name   string
		err    error
		result ctrl.Result
		want   error
	}{
		{"done", nil, later, nil},
		{"an object changed meanwhile", conflict, ctrl.Result{RequeueAfter: Soon}, nil},
		{"broken", broken, later, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, err := Take(t.Context(), ctrl.Request{}, func(context.Context, types.NamespacedName) (ctrl.Result, error) { return later, c.err })
			if result != c.result || !errors.Is(err, c.want) {
				t.Errorf("%+v, %v; want %+v, %v", result, err, c.result, c.want)
			}
		})
	}
}

func TestPace(t *testing.T) {
	pipeline := &v1alpha1.Pipeline{}
	if got := Interval(pipeline); got != time.Minute {
		t.Errorf("interval %s of a Pipeline that names none", got)
	}
	pipeline.Spec.Interval.Duration = 5 * time.Second
	if got := Interval(pipeline); got != 5*time.Second {
		t.Errorf("interval %s", got)
	}
	for range 100 {
		if got := Jittered(time.Minute); got < time.Minute || got > 66*time.Second {
			t.Fatalf("jittered to %s", got)
		}
	}
	if options := Options(controller.Options{MaxConcurrentReconciles: 3}); options.MaxConcurrentReconciles != 3 || options.RateLimiter == nil {
		t.Errorf("options %+v", options)
	}
}
