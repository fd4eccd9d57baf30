package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parse reads the Go files below directories of the repository, tests left out.
func parse(t *testing.T, directories ...string) []*ast.File {
	t.Helper()
	var parsed []*ast.File
	for _, directory := range directories {
		err := filepath.WalkDir(filepath.Join(root, directory), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			parsed = append(parsed, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return parsed
}

// literal is the value of a string in the source.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(lit.Value)
	return value, err == nil
}

// collected sorts words and drops the repeated ones.
func collected(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// reasonArguments are the functions that are given a reason, and which argument
// it is.
var reasonArguments = map[string]int{
	"Ready": 2, "Reconciling": 2, "Stalled": 2, "Failing": 2, // conditions: controllers/internal/status
	"Event": 3, // events: the same
	"tell":  0, // events: environments/rollout
	"rest":  1, // conditions: environments/rollout
}

// reasonTypes are the types whose constants are reasons or phases.
var reasonTypes = []string{"PromotionPhase", "RolloutPhase", "Reason", "Outcome"}

var reasonToken = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)

// reasons are the tokens in conditions, events and verdicts.
func reasons(t *testing.T) []string {
	t.Helper()
	return reasonsIn(t, "api", "controllers", "environments", "analysis", "traffic")
}

// reasonsIn are those below directories.
func reasonsIn(t *testing.T, directories ...string) []string {
	t.Helper()
	var found []string
	add := func(e ast.Expr) {
		if value, ok := literal(e); ok && reasonToken.MatchString(value) {
			found = append(found, value)
		}
	}
	for _, file := range parse(t, directories...) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if at, ok := reasonArguments[nameOf(n.Fun)]; ok && at < len(n.Args) {
					add(n.Args[at])
				}
			case *ast.KeyValueExpr:
				if nameOf(n.Key) == "Reason" {
					add(n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if i < len(n.Rhs) && strings.EqualFold(nameOf(left), "reason") {
						add(n.Rhs[i])
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) && isReason(nameOf(n.Type), name.Name, n.Values[i]) {
						add(n.Values[i])
					}
				}
			}
			return true
		})
	}
	return collected(found)
}

// isReason says whether a constant is one: by its type, by its name, or for it says
// its own name.
func isReason(kind, name string, value ast.Expr) bool {
	says, _ := literal(value)
	return slices.Contains(reasonTypes, kind) || strings.HasPrefix(strings.ToLower(name), "reason") || kind == "" && strings.EqualFold(name, says)
}

// nameOf is the last name of an expression, empty where it has none.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

var metricName = regexp.MustCompile(`^serin_[a-z_]+$`)

// metrics are Serin's own.
func metrics(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range parse(t, "analysis", "cmd", "controllers", "embedded", "forge", "overlays", "registry", "traffic", "web") {
		ast.Inspect(file, func(n ast.Node) bool {
			if pair, ok := n.(*ast.KeyValueExpr); ok && nameOf(pair.Key) == "Name" {
				if value, ok := literal(pair.Value); ok && metricName.MatchString(value) {
					found = append(found, value)
				}
			}
			if call, ok := n.(*ast.CallExpr); ok && nameOf(call.Fun) == "NewDesc" && len(call.Args) > 0 {
				if value, ok := literal(call.Args[0]); ok {
					found = append(found, value)
				}
			}
			return true
		})
	}
	return collected(found)
}

// conditionTypes stand in tables beside reasons.
var conditionTypes = []string{"AnalysisInvalid", "Ready", "Reconciling", "Stalled"}

// labels are those of Serin's own metrics, in the order of the code: what stands
// behind the options, or behind the help text of a description.
func labels(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, file := range parse(t, "analysis", "cmd", "controllers", "embedded", "forge", "overlays", "registry", "traffic", "web") {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name := metricOf(call)
			if name == "" {
				return true
			}
			for _, argument := range call.Args[1:] {
				list, ok := argument.(*ast.CompositeLit)
				if !ok {
					continue
				}
				for _, element := range list.Elts {
					if value, ok := literal(element); ok {
						found[name] = append(found[name], value)
					}
				}
			}
			return true
		})
	}
	return found
}

// metricOf is the name of the metric that a call makes; empty where it makes none.
func metricOf(call *ast.CallExpr) string {
	if value, ok := literal(call.Args[0]); ok && nameOf(call.Fun) == "NewDesc" {
		return value
	}
	options, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, element := range options.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && nameOf(pair.Key) == "Name" {
			if value, ok := literal(pair.Value); ok && metricName.MatchString(value) {
				return value
			}
		}
	}
	return ""
}

// flags are those of serin controller.
func flags(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range parse(t, "cmd/serin") {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Name.Name != "controllerCommand" {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !strings.HasSuffix(nameOf(call.Fun), "Var") || len(call.Args) < 2 {
					return true
				}
				if name, ok := literal(call.Args[1]); ok {
					found = append(found, "--"+name)
				}
				return true
			})
		}
	}
	return collected(found)
}

// commands are those of serin, by their last word: what is written to a field
// Use, or given to a function that makes commands of its argument use.
func commands(t *testing.T) []string {
	t.Helper()
	var found []string
	add := func(e ast.Expr) {
		if use, ok := literal(e); ok && use != "serin" {
			name, _, _ := strings.Cut(use, " ")
			found = append(found, name)
		}
	}
	parsed := parse(t, "cmd/serin")
	makers := map[string]bool{}
	for _, file := range parsed {
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && makesOf(function) {
				makers[function.Name.Name] = true
			}
		}
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if strings.EqualFold(nameOf(n.Key), "use") {
					add(n.Value)
				}
			case *ast.CallExpr:
				if makers[nameOf(n.Fun)] && len(n.Args) > 0 {
					add(n.Args[0])
				}
			}
			return true
		})
	}
	return collected(found)
}

// makesOf says whether a function's first parameter is called use.
func makesOf(function *ast.FuncDecl) bool {
	parameters := function.Type.Params.List
	return len(parameters) > 0 && len(parameters[0].Names) > 0 && parameters[0].Names[0].Name == "use"
}
