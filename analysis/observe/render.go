package observe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var placeholder = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9_.-]*)\}`)

// Render fills the placeholders (${name}) of a query. Values are escaped
// for use within a double-quoted PromQL string, so that an argument cannot
// change the query around it. A placeholder without a value is an error that
// names it and what there is.
func Render(query string, args map[string]string) (string, error) {
	var missing []string
	out := placeholder.ReplaceAllStringFunc(query, func(match string) string {
		name := placeholder.FindStringSubmatch(match)[1]
		value, ok := args[name]
		if !ok {
			missing = append(missing, name)
		}
		return escape.Replace(value)
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("query %q: no value for %s; known are %s", query, strings.Join(missing, ", "), strings.Join(slices.Sorted(maps.Keys(args)), ", "))
	}
	return out, nil
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
