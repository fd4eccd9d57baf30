package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// costLimit bounds what one evaluation may compute (CEL's cost units).
	costLimit = 1_000_000
	// maxPrograms bounds the compiled expressions that are kept.
	maxPrograms = 512
)

// response is what an expression sees of an answer.
type response struct {
	status  int
	headers map[string]string
	body    []byte
}

// expressions compiles CEL, as its specification has it, once and keeps the programs.
type expressions struct {
	mu       sync.Mutex
	env      *cel.Env
	programs map[string]cel.Program
}

func newExpressions() (*expressions, error) {
	env, err := cel.NewEnv(
		cel.Variable("status", cel.IntType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("body", cel.StringType),
		cel.Variable("json", cel.DynType),
		cel.CrossTypeNumericComparisons(true),
		// No more of the extensions: what they take is counted only when they are
		// done, and replace, range and sets can take all memory or hours before.
		ext.Lists(ext.ListsVersion(0)),
	)
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	return &expressions{env: env, programs: map[string]cel.Program{}}, nil
}

// compile gives the program of an expression that must yield the given type; a
// wrong expression is a BadQuery.
func (e *expressions) compile(expression string, want *cel.Type) (cel.Program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := want.String() + " " + expression
	if p, ok := e.programs[key]; ok {
		return p, nil
	}
	ast, issues := e.env.Compile(expression)
	if issues.Err() != nil {
		return nil, badExpression(expression, issues.Err())
	}
	if got := ast.OutputType(); !want.IsAssignableType(got) && !got.IsExactType(cel.DynType) && !got.IsAssignableType(want) {
		return nil, badExpression(expression, fmt.Errorf("it yields %s, not %s", got, want))
	}
	p, err := e.env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, badExpression(expression, err)
	}
	if len(e.programs) >= maxPrograms {
		clear(e.programs)
	}
	e.programs[key] = p
	return p, nil
}

// evaluate runs a program on an answer and converts what it yields. The error is
// errNotJudged where the time for it is over, which is no fault of the answer.
func evaluate[T any](ctx context.Context, p cel.Program, r response) (T, error) {
	var zero T
	input := map[string]any{"status": r.status, "headers": r.headers, "body": string(r.body)}
	var parsed any
	jsonErr := json.Unmarshal(r.body, &parsed)
	if jsonErr == nil {
		input["json"] = parsed
	}
	out, _, err := p.ContextEval(ctx, input)
	if err != nil && ctx.Err() != nil {
		return zero, errNotJudged
	}
	if err != nil {
		return zero, failure(err, jsonErr != nil)
	}
	native, err := out.ConvertToNative(reflect.TypeFor[T]())
	if err != nil {
		return zero, fmt.Errorf("the expression yields %s, want %s", out.Type().TypeName(), reflect.TypeFor[T]())
	}
	return native.(T), nil
}

// failure says what kind of error an evaluation ended with. The error itself may
// quote the answer, which is not for messages.
func failure(err error, noJSON bool) error {
	text := err.Error()
	switch {
	case noJSON && strings.Contains(text, "no such attribute"):
		return errors.New("the body is not JSON")
	case strings.Contains(text, "cost limit"):
		return fmt.Errorf("it takes more than %d units of cost, the limit", costLimit)
	case strings.Contains(text, "no such key"):
		return errors.New("no such key: guard it with has()")
	case strings.Contains(text, "no such overload"):
		return errors.New("a value is of another type than the expression wants")
	case strings.Contains(text, "index out of bounds"):
		return errors.New("index out of bounds")
	case strings.Contains(text, "regex"):
		return errors.New("a regular expression cannot be parsed")
	}
	return errors.New("it fails on this answer")
}

func badExpression(expression string, err error) error {
	return &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("expression %q: %v", expression, err)}
}
