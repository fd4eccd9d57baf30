package checks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Inspect says what is wrong with the queries and expressions of a check, with
// the values of its placeholders; nil where they parse.
type Inspect func(check analysis.Check, args map[string]string) error

// Verify says all that is wrong with checks whose parameters are filled in. The
// error names each check, its field and the value, and says what to do.
func Verify(checks []v1alpha1.Check, args map[string]string, inspect Inspect) error {
	var errs []error
	for _, check := range checks {
		if err := verify(check, args, inspect); err != nil {
			errs = append(errs, fmt.Errorf("check %s: %w", check.Name, err))
		}
	}
	return errors.Join(errs...)
}

func verify(check v1alpha1.Check, args map[string]string, inspect Inspect) error {
	converted, err := Of(check)
	if err != nil {
		return err
	}
	if err := converted.Validate(); err != nil {
		return err
	}
	if err := inspect(converted, args); err != nil {
		// That it is a bad query is plain where it is refused.
		var absence *analysis.Absence
		text := err.Error()
		if errors.As(err, &absence) {
			text = strings.ReplaceAll(text, string(analysis.BadQuery)+": ", "")
		}
		return fmt.Errorf("%s; %s", text, cure(converted))
	}
	return nil
}

// cure says what is wanted where a check does not parse.
func cure(check analysis.Check) string {
	switch check.Kind {
	case analysis.KindThreshold:
		return "write a PromQL expression that gives one number, such as max(queue_length)"
	case analysis.KindHTTP:
		return "write an expression in CEL over status, headers, body and json that is true of a healthy pod, such as status == 200"
	case analysis.KindPeers:
		return "write expressions in CEL over json, such as json.Peers.map(p, p.Peer)"
	}
	return `write a PromQL series selector without functions and ranges, such as http_requests_total{code=~"5.."}`
}

// standIns are what a parameter may be that has no default and no type: a name, a
// number, a duration and an address.
var standIns = []string{"standin", "0.5", "5m", "http://standin"}

// standInsOf are those of a type.
func standInsOf(kind string) []string {
	switch kind {
	case v1alpha1.TypeNumber:
		return standIns[1:2]
	case v1alpha1.TypeDuration:
		return standIns[2:3]
	case v1alpha1.TypeURL:
		return standIns[3:4]
	}
	return standIns
}

// maxTries bounds how many combinations of stand-ins a check is tried with; with
// more parameters it is left to the Rollouts that give them values.
const maxTries = 256

// VerifyTemplate says what is wrong with a template whatever is given for its
// parameters: one with a default has that, for one without it something has to
// be found with which the check parses.
func VerifyTemplate(spec v1alpha1.AnalysisTemplateSpec, args map[string]string, inspect Inspect) error {
	var errs []error
	seen := map[string]bool{Workload: true}
	for _, check := range spec.Checks {
		if seen[check.Name] {
			errs = append(errs, fmt.Errorf("check %s: another one has this name, or it is that of the check that is always asked: give it another", check.Name))
		}
		seen[check.Name] = true
		errs = append(errs, verifyAny(spec, check, args, inspect))
	}
	return errors.Join(errs...)
}

// verifyAny tries a template's check with stand-ins until one combination is
// right; the error is that of the first one.
func verifyAny(spec v1alpha1.AnalysisTemplateSpec, check v1alpha1.Check, args map[string]string, inspect Inspect) error {
	own := v1alpha1.AnalysisTemplateSpec{Parameters: spec.Parameters, Checks: []v1alpha1.Check{check}}
	used, err := usedParameters(check)
	if err != nil {
		return err
	}
	var open, rest []v1alpha1.Parameter
	tries := 1
	for _, parameter := range spec.Parameters {
		switch {
		case parameter.Default != nil:
		case used[parameter.Name]:
			open = append(open, parameter)
			tries *= len(standInsOf(parameter.Type))
		default:
			rest = append(rest, parameter)
		}
	}
	if tries > maxTries {
		return nil
	}
	var first error
	for try := range tries {
		filled, err := Fill(own, stand(open, rest, try))
		if err == nil {
			err = Verify(filled, args, inspect)
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if len(open) > 0 {
		var tried []string
		for _, argument := range stand(open, nil, 0) {
			tried = append(tried, argument.Value+" for "+argument.Name)
		}
		return fmt.Errorf("%w (tried with %s)", first, strings.Join(tried, ", "))
	}
	return first
}

// stand gives the parameters that a check uses the combination of stand-ins of a
// number, and the rest of them the first of theirs.
func stand(open, rest []v1alpha1.Parameter, try int) []v1alpha1.Argument {
	var given []v1alpha1.Argument
	for _, parameter := range open {
		values := standInsOf(parameter.Type)
		given = append(given, v1alpha1.Argument{Name: parameter.Name, Value: values[try%len(values)]})
		try /= len(values)
	}
	for _, parameter := range rest {
		given = append(given, v1alpha1.Argument{Name: parameter.Name, Value: standInsOf(parameter.Type)[0]})
	}
	return given
}

var parameter = regexp.MustCompile(`\$\{([a-zA-Z][a-zA-Z0-9]*)\}`)

// usedParameters are the names of the parameters in a check's texts.
func usedParameters(check v1alpha1.Check) (map[string]bool, error) {
	text, err := json.Marshal(check)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", check.Name, err)
	}
	used := map[string]bool{}
	for _, match := range parameter.FindAllSubmatch(text, -1) {
		used[string(match[1])] = true
	}
	return used, nil
}

// Known completes the placeholders that Serin fills in at a look by stand-ins
// where their values are not known yet.
func Known(args map[string]string) map[string]string {
	known := maps.Clone(args)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name] == "" {
			known[name] = standIns[0]
		}
	}
	return known
}
