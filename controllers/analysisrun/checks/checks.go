// Package checks turns the analysis of a Rollout, and the templates it uses,
// into what the judge is asked. The controller and the commands that try an
// analysis share it.
package checks

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

// defaultInterval is that of the API, for objects stored before it was known.
const defaultInterval = 2 * time.Second

// Workload names the check that is always asked, and first.
const Workload = "workload"

// Template gives the AnalysisTemplate or ClusterAnalysisTemplate that a Rollout
// refers to.
type Template func(ref v1alpha1.TemplateReference) (v1alpha1.AnalysisTemplateSpec, error)

// Resolve gives a Rollout's checks, those of its templates filled in. The error
// names the template or the check that must be mended.
func Resolve(ro *v1alpha1.Rollout, template Template) ([]v1alpha1.Check, error) {
	checks := append([]v1alpha1.Check(nil), ro.Spec.Analysis.Checks...)
	for _, ref := range ro.Spec.Analysis.Templates {
		spec, err := template(ref)
		if err != nil {
			return nil, fmt.Errorf("analysis.templates: %s: %w", templateName(ro, ref), err)
		}
		filled, err := Fill(spec, ref.Args)
		if err != nil {
			return nil, fmt.Errorf("analysis.templates: %s: %w", templateName(ro, ref), err)
		}
		checks = append(checks, filled...)
	}
	seen := map[string]bool{Workload: true}
	for _, check := range checks {
		if seen[check.Name] {
			return nil, fmt.Errorf("analysis: two checks are named %q: give each another name", check.Name)
		}
		seen[check.Name] = true
	}
	return checks, nil
}

// templateName says which template is meant.
func templateName(ro *v1alpha1.Rollout, ref v1alpha1.TemplateReference) string {
	if ref.Kind == v1alpha1.KindClusterAnalysisTemplate {
		return ref.Kind + " " + ref.Name
	}
	return v1alpha1.KindAnalysisTemplate + " " + ro.Namespace + "/" + ref.Name
}

// Fill puts arguments in the place of a template's parameters. What is named
// serin.* is filled in at each look.
func Fill(spec v1alpha1.AnalysisTemplateSpec, args []v1alpha1.Argument) ([]v1alpha1.Check, error) {
	values := map[string]string{}
	for _, parameter := range spec.Parameters {
		if parameter.Default != nil {
			values[parameter.Name] = *parameter.Default
		}
	}
	for _, arg := range args {
		values[arg.Name] = arg.Value
	}
	var pairs []string
	for _, parameter := range spec.Parameters {
		value, found := values[parameter.Name]
		if !found {
			return nil, fmt.Errorf("parameter %s has no default: give it in args", parameter.Name)
		}
		if err := typed(parameter.Type, value); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", parameter.Name, err)
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", parameter.Name, err)
		}
		pairs = append(pairs, "${"+parameter.Name+"}", string(quoted[1:len(quoted)-1]))
		delete(values, parameter.Name)
	}
	for _, arg := range args {
		if _, unknown := values[arg.Name]; unknown {
			return nil, fmt.Errorf("args: it has no parameter %s", arg.Name)
		}
	}
	text, err := json.Marshal(spec.Checks)
	if err != nil {
		return nil, fmt.Errorf("checks: %w", err)
	}
	var checks []v1alpha1.Check
	if err := json.Unmarshal([]byte(strings.NewReplacer(pairs...).Replace(string(text))), &checks); err != nil {
		return nil, fmt.Errorf("checks with the arguments filled in: %w", err)
	}
	return checks, nil
}

// Spec is the judge's specification of a trial of a Rollout, from alpha and the
// checks as they were resolved when the trial began.
func Spec(ro *v1alpha1.Rollout, alpha string, checks []v1alpha1.Check) (analysis.Spec, error) {
	spec := analysis.Spec{SourceLimit: ro.Spec.Analysis.FreezeLimit.Duration}
	interval := ro.Spec.Analysis.Interval.Duration
	if interval <= 0 {
		interval = defaultInterval
	}
	var err error
	if spec.Alpha, err = number("alpha", alpha); err != nil {
		return analysis.Spec{}, err
	}
	spec.Checks = append(spec.Checks, analysis.Check{
		Name: Workload, Kind: analysis.KindWorkload,
		Workload: &analysis.Workload{UnreadyLimit: ro.Spec.ReadyDeadline.Duration},
	})
	for _, check := range checks {
		converted, err := Of(check)
		if err != nil {
			return analysis.Spec{}, fmt.Errorf("check %s: %w", check.Name, err)
		}
		if check.HTTP != nil && check.HTTP.Service && ro.Spec.Traffic.RouteRef == nil {
			return analysis.Spec{}, fmt.Errorf("check %s: http.service is true, and only a Rollout with traffic.routeRef has a Service of its canary's own: leave it out, or set traffic.routeRef", check.Name)
		}
		if converted.Interval <= 0 {
			converted.Interval = intervalOf(converted.Kind, interval)
		}
		spec.Checks = append(spec.Checks, converted)
	}
	return spec, spec.Validate()
}

// Of turns a check of the API into the judge's.
func Of(c v1alpha1.Check) (analysis.Check, error) {
	out := analysis.Check{
		Name: c.Name, DryRun: c.DryRun, InitialDelay: c.InitialDelay.Duration, Interval: c.Interval.Duration,
		Weight: float64(c.Weight), NoDataPasses: c.NoData == v1alpha1.NoDataPass,
	}
	var err error
	switch {
	case c.Ratio != nil:
		out.Kind, out.Ratio = analysis.KindRatio, &analysis.Ratio{Total: c.Ratio.Total, Bad: c.Ratio.Bad, Good: c.Ratio.Good}
		out.Ratio.Comparison, err = comparison(c.Ratio.Arms, c.Ratio.Objective, c.Ratio.Tolerated, c.Ratio.Worse, c.Ratio.MinRequests)
	case c.Latency != nil:
		out.Kind, out.Latency = analysis.KindLatency, &analysis.Latency{Histogram: c.Latency.Histogram, Native: c.Latency.Native}
		if out.Latency.Bound, err = number("bound", c.Latency.Bound); err != nil {
			return out, err
		}
		out.Latency.Comparison, err = comparison(c.Latency.Arms, c.Latency.Objective, c.Latency.Tolerated, c.Latency.Worse, c.Latency.MinRequests)
	case c.Threshold != nil:
		out.Kind = analysis.KindThreshold
		out.Threshold, err = threshold(*c.Threshold)
	case c.HTTP != nil:
		out.Kind = analysis.KindHTTP
		out.HTTP = &analysis.HTTP{
			Port: c.HTTP.Port, Path: c.HTTP.Path, Timeout: c.HTTP.Timeout.Duration, Expression: c.HTTP.Expression, Service: c.HTTP.Service,
			Failing: int(c.HTTP.Failures), Of: int(c.HTTP.Samples),
		}
	case c.Peers != nil:
		out.Kind, out.Peers = analysis.KindPeers, peersOf(*c.Peers)
	case c.Resources != nil:
		out.Kind = analysis.KindResources
		out.Resources, err = resourcesOf(*c.Resources)
	case c.Webhook != nil:
		out.Kind, out.Webhook = analysis.KindWebhook, webhookOf(*c.Webhook)
	default:
		err = fmt.Errorf("it has no kind: set one of ratio, latency, threshold, http, peers, resources and webhook")
	}
	return out, err
}

func comparison(arms *v1alpha1.Arms, objective, tolerated, worse string, minRequests int64) (analysis.Comparison, error) {
	c := analysis.Comparison{MinRequests: float64(minRequests)}
	var err error
	if c.Objective, err = number("objective", objective); err != nil {
		return c, err
	}
	if c.Tolerance, err = number("tolerated", tolerated); err != nil {
		return c, err
	}
	if c.Worse, err = number("worse", worse); err != nil {
		return c, err
	}
	if arms != nil {
		c.Arms = &analysis.Arms{Stable: arms.Stable, Canary: arms.Canary}
	}
	return c, nil
}

func threshold(t v1alpha1.ThresholdCheck) (*analysis.Threshold, error) {
	out := &analysis.Threshold{Query: t.Query, Failing: int(t.Failures), Of: int(t.Samples)}
	for field, bound := range map[string]struct {
		text string
		to   **float64
	}{"min": {t.Min, &out.Min}, "max": {t.Max, &out.Max}} {
		if bound.text == "" {
			continue
		}
		value, err := number(field, bound.text)
		if err != nil {
			return nil, err
		}
		*bound.to = &value
	}
	return out, nil
}

func peersOf(p v1alpha1.PeersCheck) *analysis.Peers {
	out := &analysis.Peers{
		Port: p.Port, Path: p.Path, Timeout: p.Timeout.Duration, List: p.List, Min: int(p.Min),
		MinShareOfStable: float64(p.SharePercent) / 100, SeenFromOtherSide: p.Mutual,
		Failing: int(p.Failures), Of: int(p.Samples),
	}
	if p.Identity != "" {
		path := p.IdentityPath
		if path == "" {
			path = p.Path
		}
		out.Self = &analysis.Identity{Path: path, Expression: p.Identity}
	}
	if p.Including != nil {
		out.MustInclude = analysis.IncludeAny
	}
	return out
}

// number reads a number that the API keeps as text; empty is 0.
func number(field, text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, fmt.Errorf("%s %q is no number: give a decimal number such as 0.5", field, text)
	}
	return value, nil
}
