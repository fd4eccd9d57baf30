package analysis

import (
	"errors"
	"fmt"
	"time"
)

// Validate says what is wrong with an analysis, naming check, field and value.
func (s Spec) Validate() error {
	var errs []error
	if s.Alpha < 0 || s.Alpha >= 1 {
		errs = append(errs, fmt.Errorf("alpha is %g; it must be at least 0 and below 1", s.Alpha))
	}
	if s.Beta < 0 || s.Beta >= 1 {
		errs = append(errs, fmt.Errorf("beta is %g; it must be at least 0 and below 1", s.Beta))
	}
	seen := map[string]bool{}
	for _, c := range s.Checks {
		if seen[c.Name] {
			errs = append(errs, fmt.Errorf("check %q occurs twice; give every check a name of its own", c.Name))
		}
		seen[c.Name] = true
		errs = append(errs, c.Validate())
	}
	return errors.Join(errs...)
}

// Validate says what is wrong with a check, naming the field and its value.
func (c Check) Validate() error {
	if c.Name == "" {
		return fmt.Errorf("a check of kind %q has no name", c.Kind)
	}
	set := map[Kind]bool{
		KindRatio: c.Ratio != nil, KindLatency: c.Latency != nil, KindThreshold: c.Threshold != nil,
		KindHTTP: c.HTTP != nil, KindPeers: c.Peers != nil, KindWorkload: c.Workload != nil,
		KindResources: c.Resources != nil, KindWebhook: c.Webhook != nil,
	}
	given, known := set[c.Kind]
	if !known {
		return fmt.Errorf("check %q: kind %q is unknown; use ratio, latency, threshold, http, peers, workload, resources or webhook", c.Name, c.Kind)
	}
	if !given {
		return fmt.Errorf("check %q: kind is %s and the field %s is not set", c.Name, c.Kind, c.Kind)
	}
	if err := c.validateKind(); err != nil {
		return fmt.Errorf("check %q: %w", c.Name, err)
	}
	return nil
}

func (c Check) validateKind() error {
	switch c.Kind {
	case KindRatio:
		return errors.Join(c.Ratio.Comparison.validate(), c.Ratio.validate())
	case KindLatency:
		if c.Latency.Histogram == "" || c.Latency.Bound <= 0 {
			return fmt.Errorf("latency needs a histogram and a bound above 0, bound is %g", c.Latency.Bound)
		}
		return c.Latency.validate()
	case KindThreshold:
		if c.Threshold.Query == "" {
			return errors.New("threshold.query is empty")
		}
		if c.Threshold.Min == nil && c.Threshold.Max == nil {
			return errors.New("threshold has neither min nor max; set at least one")
		}
	case KindHTTP:
		return errors.Join(validatePort("http", c.HTTP.Port), validateTimeout("http", c.HTTP.Timeout))
	case KindPeers:
		return errors.Join(validatePort("peers", c.Peers.Port), validateTimeout("peers", c.Peers.Timeout), c.Peers.validate())
	case KindResources:
		return c.Resources.Validate()
	case KindWebhook:
		if c.Webhook.URL == "" {
			return errors.New("webhook.url is empty; give the address to post to")
		}
	}
	return nil
}

func (c Comparison) validate() error {
	switch {
	case c.Objective < 0 || c.Objective >= 1:
		return fmt.Errorf("objective is %g; it must be at least 0 and below 1", c.Objective)
	case c.Tolerance < 0:
		return fmt.Errorf("tolerance is %g; it must not be negative", c.Tolerance)
	case c.Worse != 0 && c.Worse <= c.test().Tolerance:
		return fmt.Errorf("worse is %g; it must be above the tolerance %g", c.Worse, c.test().Tolerance)
	}
	return nil
}

func (r Ratio) validate() error {
	if r.Total == "" {
		return errors.New("ratio.total is empty; give the selector of all requests")
	}
	if (r.Bad == "") == (r.Good == "") {
		return errors.New("ratio needs exactly one of bad and good")
	}
	return nil
}

func (p Peers) validate() error {
	if p.List == "" {
		return errors.New("peers.list is empty; give the expression that yields the peers")
	}
	if p.MinShareOfStable < 0 || p.MinShareOfStable > 1 {
		return fmt.Errorf("peers.minShareOfStable is %g; it must be between 0 and 1", p.MinShareOfStable)
	}
	if (p.MustInclude != "" || p.SeenFromOtherSide) && p.Self == nil {
		return errors.New("peers.self is needed by mustInclude and seenFromOtherSide; say how a pod is asked who it is")
	}
	return nil
}

func validateTimeout(field string, timeout time.Duration) error {
	if timeout < 0 || timeout > MaxProbeTimeout {
		return fmt.Errorf("%s.timeout is %s; it must be at most %s", field, timeout, MaxProbeTimeout)
	}
	return nil
}

func validatePort(field string, port int32) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("%s.port is %d; it must be between 1 and 65535", field, port)
	}
	return nil
}

// bound is the limit a threshold is shown with: the maximum, else the minimum.
func (t Threshold) bound() float64 {
	switch {
	case t.Max != nil:
		return *t.Max
	case t.Min != nil:
		return *t.Min
	}
	return 0
}

// impatient is true where looks are counted by the default rule: two
// looks in which every canary pod failed are then enough.
func (c Check) impatient() bool {
	failing, _ := c.rule()
	return (c.Kind == KindHTTP || c.Kind == KindPeers) && failing == DefaultFailing
}
