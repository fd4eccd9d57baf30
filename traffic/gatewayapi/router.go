// Package gatewayapi moves traffic by the weights of a Gateway API route:
// HTTPRoute, GRPCRoute, and where they are served TLSRoute and TCPRoute.
//
// At rest a rule names the user's own Service. During a trial the pair of
// stable and canary stands in its place, with the same port and filters, and the
// rule's weights are multiplied by 100, so that each other backend keeps its
// share to the last request. Release divides them again. Nothing else of a route
// is written.
package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/traffic"
)

// FieldOwner is the name that the API server records for what a Router writes.
const FieldOwner = "serin"

// backoff between attempts to write, about a second in all.
var backoff = wait.Backoff{Steps: 6, Duration: 10 * time.Millisecond, Factor: 3, Jitter: 0.2}

// cure for another writer, by what applies Git.
const cure = "leave the weights to Serin: with Flux annotate the route kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, with Argo CD list /spec/rules in ignoreDifferences"

// Router is a traffic.Router.
type Router struct {
	client client.Client
}

var _ traffic.Router = (*Router)(nil)

// New makes a Router. Routes are read and written as unstructured objects, which
// a manager's client does not cache unless it is told to: a Router wants them
// from the API server, since it writes what it has read.
func New(c client.Client) *Router { return &Router{client: c} }

// Plan wants the canary's share of stable's pods, rounded up, and at least one.
func (*Router) Plan(target traffic.Target, weight environments.Weight) traffic.Plan {
	return traffic.Plan{CanaryReplicas: traffic.CanaryFor(target.StableReplicas, weight), Reachable: weight}
}

// Observe reads the route's weights and what its Gateways say of them.
func (r *Router) Observe(ctx context.Context, target traffic.Target, want environments.Weight) (traffic.State, error) {
	route, err := r.get(ctx, target)
	if err != nil {
		return traffic.State{}, err
	}
	seen, err := r.look(route, target)
	if err != nil {
		return traffic.State{}, err
	}
	state := traffic.State{Weight: seen.weight, Released: seen.released}
	if state.Reached, state.Refused, state.Message, err = reached(route); err != nil {
		return state, fmt.Errorf("%s: %w", describe(target), err)
	}
	if seen.weight != want || !seen.even {
		state.Foreign, state.Message = true, foreign(route, target, seen, want)
	}
	return state, nil
}

// foreign says who reset the route, and the cure.
func foreign(route *unstructured.Unstructured, target traffic.Target, seen sight, want environments.Weight) string {
	writer := lastWriter(FieldOwner, route.GetManagedFields())
	if writer == "" {
		writer = "another writer"
	}
	found := fmt.Sprintf("it sends %s to the canary", seen.weight)
	if !seen.even {
		found = fmt.Sprintf("its rules differ and send up to %s to the canary", seen.weight)
	}
	return fmt.Sprintf("%s does not carry the %s that was set: %s. %s changed it; %s", describe(target), want, found, writer, cure)
}

// Set names stable and canary in the route, and gives the canary its weight.
// They take the Service's place only where both are there: where they are not,
// weight 0 holds already, and another weight is refused.
func (r *Router) Set(ctx context.Context, target traffic.Target, weight environments.Weight) error {
	if weight < 0 || weight > 100 {
		return fmt.Errorf("%s: a weight is 0 to 100 percent, not %d", describe(target), weight)
	}
	return r.edit(ctx, target, func(rules []rule, seen sight) error {
		if seen.released {
			if err := r.services(ctx, target); err != nil {
				if weight == 0 && errors.Is(err, traffic.ErrNotFound) {
					return nil
				}
				return err
			}
		}
		return each(rules, func(one rule) error { return setWeight(one, target, weight) })
	})
}

// Release names the user's Service again. A route that is gone is released.
func (r *Router) Release(ctx context.Context, target traffic.Target) error {
	err := r.edit(ctx, target, func(rules []rule, _ sight) error {
		return each(rules, func(one rule) error { return release(one, target) })
	})
	if errors.Is(err, traffic.ErrNotFound) {
		return nil
	}
	return err
}

// each changes every rule, and says at which one it failed.
func each(rules []rule, change func(rule) error) error {
	for at, one := range rules {
		if err := change(one); err != nil {
			return fmt.Errorf("spec.rules[%d].%w", at, err)
		}
	}
	return nil
}

// services says whether stable's and the canary's are both there.
func (r *Router) services(ctx context.Context, target traffic.Target) error {
	for _, name := range []string{target.Stable, target.Canary} {
		service := &unstructured.Unstructured{}
		service.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Service"))
		err := r.client.Get(ctx, types.NamespacedName{Namespace: target.Namespace, Name: name}, service)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w: the Service %s, which would stand in backendRefs", traffic.ErrNotFound, name)
		}
		if err != nil {
			return fmt.Errorf("read the Service %s: %w", name, err)
		}
	}
	return nil
}

// edit applies a change to the newest version of the route, again where another
// writer was first. A Gateway's controller writes the status of the same object
// after each change, so losing a race is common and no sign of trouble.
func (r *Router) edit(ctx context.Context, target traffic.Target, change func([]rule, sight) error) error {
	err := retry.RetryOnConflict(backoff, func() error {
		route, err := r.get(ctx, target)
		if err != nil {
			return err
		}
		seen, err := r.look(route, target)
		if err != nil {
			return err
		}
		before := route.DeepCopy()
		rules, err := rulesOf(route)
		if err != nil {
			return fmt.Errorf("%s: %w", describe(target), err)
		}
		if err := change(rules, seen); err != nil {
			return fmt.Errorf("%s: %w", describe(target), err)
		}
		if equality.Semantic.DeepEqual(before.Object, route.Object) {
			return nil
		}
		return r.client.Update(ctx, route, client.FieldOwner(FieldOwner))
	})
	switch {
	case apierrors.IsConflict(err):
		return fmt.Errorf("%w: %s: %w", traffic.ErrConflict, describe(target), err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %s", traffic.ErrNotFound, describe(target))
	}
	return err
}

// get reads the route in the version that the API server prefers.
func (r *Router) get(ctx context.Context, target traffic.Target) (*unstructured.Unstructured, error) {
	kind := schema.GroupKind{Group: gatewayv1.GroupName, Kind: target.Kind}
	mapping, err := r.client.RESTMapper().RESTMapping(kind)
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("%w: %s: the cluster does not know %s: install the Gateway API's CRDs and restart Serin, or leave traffic.routeRef out", traffic.ErrNotFound, describe(target), kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(target), err)
	}
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(mapping.GroupVersionKind)
	err = r.client.Get(ctx, types.NamespacedName{Namespace: target.Namespace, Name: target.Route}, route)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no %s: create it, or correct spec.traffic.routeRef", traffic.ErrNotFound, describe(target))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(target), err)
	}
	return route, nil
}

// look is what the route says of the target; a route that does not carry it is
// not the target's.
func (*Router) look(route *unstructured.Unstructured, target traffic.Target) (sight, error) {
	rules, err := rulesOf(route)
	if err != nil {
		return sight{}, fmt.Errorf("%s: %w", describe(target), err)
	}
	seen, err := look(rules, target)
	if err != nil {
		return sight{}, fmt.Errorf("%s: %w", describe(target), err)
	}
	if !seen.carried && seen.released {
		return sight{}, fmt.Errorf("%w: %s has no rule that sends traffic to the Service %s: name it in backendRefs, or correct spec.traffic",
			traffic.ErrNotFound, describe(target), target.Service)
	}
	return seen, nil
}

// rulesOf are the route's rules, to read and to change in place.
func rulesOf(route *unstructured.Unstructured) ([]rule, error) {
	raw, _, err := unstructured.NestedFieldNoCopy(route.Object, "spec", "rules")
	if err != nil {
		return nil, err
	}
	list, _ := raw.([]any)
	rules := make([]rule, len(list))
	for at, entry := range list {
		fields, ok := entry.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("spec.rules[%d] is a %T, not an object", at, entry)
		}
		rules[at] = fields
	}
	return rules, nil
}

// reached asks the route's status.
func reached(route *unstructured.Unstructured) (ok, refused bool, waits string, err error) {
	var typed struct {
		Spec   gatewayv1.CommonRouteSpec `json:"spec"`
		Status gatewayv1.RouteStatus     `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(route.Object, &typed); err != nil {
		return false, false, "", fmt.Errorf("read its parents: %w", err)
	}
	ok, refused, waits = accepted(route.GetNamespace(), route.GetGeneration(), typed.Spec.ParentRefs, typed.Status.Parents)
	return ok, refused, waits, nil
}

func describe(target traffic.Target) string {
	return fmt.Sprintf("%s %s/%s", target.Kind, target.Namespace, target.Route)
}
