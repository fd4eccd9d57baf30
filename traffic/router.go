// Package traffic moves traffic between stable and canary. Router is the port;
// the step arithmetic is pure.
package traffic

import (
	"context"
	"errors"

	"github.com/serin-gitops/serin/environments"
)

// Errors of a Router; test with errors.Is.
var (
	// ErrNotFound: the route, or a rule with stable, is not there.
	ErrNotFound = errors.New("route not found")
	// ErrConflict: another writer was first; observe again.
	ErrConflict = errors.New("the route was changed meanwhile")
)

// Target is what a Router moves traffic of.
type Target struct {
	Namespace string
	// Kind and Route name the user's route ("HTTPRoute", ...); both empty with
	// the replicas router.
	Kind, Route string
	// Service is the user's own Service, Stable and Canary those that Serin
	// owns.
	Service, Stable, Canary string
	// StableReplicas is what stable runs.
	StableReplicas int32
}

// State is what a Router sees.
type State struct {
	// Weight is what the route asks for now; with the replicas router what the
	// ready pods give.
	Weight environments.Weight
	// Reached says that the data plane has accepted that weight.
	Reached bool
	// Released says that nothing of Serin is in the route: it names the user's
	// own Service alone. It is true of the replicas router where no canary pod
	// is admitted.
	Released bool
	// Refused says that the data plane does not take the route as it is, other
	// than that it has not come to it yet.
	Refused bool
	// Foreign says that the route did not carry what Serin set last: another
	// writer reset it.
	Foreign bool
	// Message says what is being waited for, or what another writer did and
	// the cure.
	Message string
}

// Plan is what a step needs before its weight can be set.
type Plan struct {
	// CanaryReplicas is how many pods the canary runs.
	CanaryReplicas int32
	// Reachable is the weight that these really give (the replicas router
	// rounds); it equals the weight asked for otherwise.
	Reachable environments.Weight
}

// Router moves traffic.
type Router interface {
	// Plan says, purely, how many canary pods a weight needs.
	Plan(target Target, weight environments.Weight) Plan
	// Observe reads where the traffic goes; want is what Serin set last.
	Observe(ctx context.Context, target Target, want environments.Weight) (State, error)
	// Set sends weight of the traffic to the canary and the rest to stable; it
	// writes nothing where that is so already. It is one write. The replicas
	// router only takes pods out (weight 0): which pods are admitted, one by one,
	// is for the rollout to say, by Gate.
	Set(ctx context.Context, target Target, weight environments.Weight) error
	// Release gives the route back as the user wrote it: all traffic to the
	// user's own Service where the route named it. It is one write.
	Release(ctx context.Context, target Target) error
}

// Gate admits single pods to the traffic of every Service that selects them.
type Gate interface {
	// Set opens or closes the readiness gate of a pod; it writes nothing where
	// that is so already. A pod that is gone is no error when it is closed, and
	// ErrNotFound when it is opened.
	Set(ctx context.Context, namespace, pod string, open bool) error
}
