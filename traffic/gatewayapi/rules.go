package gatewayapi

import (
	"fmt"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/traffic"
)

// scale is what the weights of a rule are multiplied by while it names the pair,
// so that each percent of the user's own share is a whole number and all other
// backends of the rule keep theirs. It tells nothing of the user's numbers away:
// dividing gives them back.
const scale = 100

// maxWeight of a backend, by the Gateway API's schema.
const maxWeight = 1_000_000

// rule is one entry of a route's spec.rules, as the API server has it: editing
// it in place leaves every field that this code does not know as it is.
type rule = map[string]any

// backend is one entry of a rule's backendRefs.
type backend map[string]any

func (b backend) text(field, absent string) string {
	if value, ok := b[field].(string); ok {
		return value
	}
	return absent
}

// weight is 1 where the user left it out, as the Gateway API says.
func (b backend) weight() int64 {
	if value, ok := b["weight"].(int64); ok {
		return value
	}
	return 1
}

func (b backend) port() int64 {
	port, _ := b["port"].(int64)
	return port
}

// as is the same backend with another Service and weight: port and filters stay.
func (b backend) as(service string, weight int64) backend {
	other := backend(runtime.DeepCopyJSON(b))
	other["name"], other["weight"] = service, weight
	return other
}

// names says whether the backend is one of the Services, in the namespace of the
// route.
func (b backend) names(namespace string, services ...string) bool {
	return b.text("group", "") == "" && b.text("kind", "Service") == "Service" &&
		b.text("namespace", namespace) == namespace && slices.Contains(services, b.text("name", ""))
}

// arms is what a rule sends to the target by one port.
type arms struct {
	// like is the first backend, the pattern for what takes its place.
	like backend
	// at is where in the rule's backends it stands.
	at int
	// service, stable and canary are sums of weights.
	service, stable, canary int64
}

// share is the user's own weight of the target, before any scaling.
func (a arms) share(paired bool) int64 {
	all := a.service + a.stable + a.canary
	if !paired || all == 0 {
		return all
	}
	return max(int64(math.Round(float64(all)/scale)), 1)
}

// weight is the canary's part in percent, rounded up: a canary that gets
// anything never shows as 0.
func (a arms) weight() (weight environments.Weight, exact bool) {
	all := a.service + a.stable + a.canary
	if all == 0 {
		return 0, true
	}
	return environments.Weight((a.canary*100 + all - 1) / all), a.canary*100%all == 0
}

// read is what one rule says of a target.
type read struct {
	backends []backend
	// arms by port, in the order of the rule.
	arms []arms
	// others are the places of the backends that are not the target's.
	others []int
	// paired says that the rule names stable or canary.
	paired bool
}

// carries says whether the rule sends anything to the target.
func (r read) carries() bool {
	return slices.ContainsFunc(r.arms, func(a arms) bool { return a.service+a.stable+a.canary > 0 })
}

func readRule(one rule, target traffic.Target) (read, error) {
	var r read
	raw, ok := one["backendRefs"].([]any)
	if !ok {
		return r, nil // a rule that redirects, say, has none
	}
	for at, entry := range raw {
		fields, ok := entry.(map[string]any)
		if !ok {
			return r, fmt.Errorf("backendRefs[%d] is a %T, not an object", at, entry)
		}
		b := backend(fields)
		r.backends = append(r.backends, b)
		if !b.names(target.Namespace, target.Service, target.Stable, target.Canary) {
			r.others = append(r.others, at)
			continue
		}
		r.count(b, at, target)
	}
	return r, nil
}

// count adds a backend of the target to its port's arms.
func (r *read) count(b backend, at int, target traffic.Target) {
	port := slices.IndexFunc(r.arms, func(a arms) bool { return a.like.port() == b.port() })
	if port < 0 {
		port = len(r.arms)
		r.arms = append(r.arms, arms{like: b, at: at})
	}
	switch b.text("name", "") {
	case target.Service:
		r.arms[port].service += b.weight()
	case target.Stable:
		r.arms[port].stable += b.weight()
		r.paired = true
	default:
		r.arms[port].canary += b.weight()
		r.paired = true
	}
}

// rewrite puts what replace gives in the place of the target's backends, and
// resize on the weights of all others.
func (r read) rewrite(one rule, replace func(arms) []backend, resize func(int64) int64) error {
	var refs []any
	for at, b := range r.backends {
		if slices.Contains(r.others, at) {
			other := backend(runtime.DeepCopyJSON(b))
			if weight := resize(b.weight()); weight != b.weight() {
				other["weight"] = weight
			}
			refs = append(refs, map[string]any(other))
			continue
		}
		for _, a := range r.arms {
			if a.at != at {
				continue
			}
			for _, b := range replace(a) {
				refs = append(refs, map[string]any(b))
			}
		}
	}
	for at, ref := range refs {
		if b := backend(ref.(map[string]any)); b.weight() > maxWeight {
			return fmt.Errorf("backendRefs[%d] (%s) would get weight %d, and %d is the most: write weights of at most %d, since a trial multiplies them by %d",
				at, b.text("name", ""), b.weight(), maxWeight, maxWeight/scale, scale)
		}
	}
	one["backendRefs"] = refs
	return nil
}

// setWeight names the pair in a rule that names the target's Service or the
// pair, and gives the canary weight of the target's own share.
func setWeight(one rule, target traffic.Target, weight environments.Weight) error {
	r, err := readRule(one, target)
	if err != nil || !r.carries() {
		return err
	}
	pair := func(a arms) []backend {
		share := a.share(r.paired)
		return []backend{
			a.like.as(target.Stable, share*(scale-int64(weight))),
			a.like.as(target.Canary, share*int64(weight)),
		}
	}
	return r.rewrite(one, pair, func(w int64) int64 {
		if r.paired {
			return w
		}
		return w * scale
	})
}

// release names the target's Service again where the rule names the pair.
func release(one rule, target traffic.Target) error {
	r, err := readRule(one, target)
	if err != nil || !r.paired {
		return err
	}
	own := func(a arms) []backend { return []backend{a.like.as(target.Service, a.share(true))} }
	return r.rewrite(one, own, func(w int64) int64 {
		if w == 0 {
			return 0
		}
		return max(int64(math.Round(float64(w)/scale)), 1)
	})
}

// sight is what all rules of a route say of a target.
type sight struct {
	// carried says that some rule sends traffic to the target.
	carried bool
	// released says that no rule names stable or canary.
	released bool
	// weight is the canary's highest part in any rule.
	weight environments.Weight
	// even says that each rule gives the canary the same whole percentage.
	even bool
}

func look(rules []rule, target traffic.Target) (sight, error) {
	s := sight{released: true, even: true}
	seen := map[environments.Weight]bool{}
	for at, one := range rules {
		r, err := readRule(one, target)
		if err != nil {
			return s, fmt.Errorf("spec.rules[%d].%w", at, err)
		}
		s.released = s.released && !r.paired
		if !r.carries() {
			continue
		}
		s.carried = true
		for _, a := range r.arms {
			weight, exact := a.weight()
			s.even = s.even && exact
			seen[weight] = true
			s.weight = max(s.weight, weight)
		}
	}
	s.even = s.even && len(seen) <= 1
	return s, nil
}
