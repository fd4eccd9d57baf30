// Package imports tests who may import whom, indirect imports included. The
// linter says the same of direct ones, sooner.
package imports

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/serin-gitops/serin/"

// rules: a package under one of the paths must not depend on any of these.
var rules = []struct {
	name      string
	packages  func(path string) bool
	forbidden []string
}{
	{"environments is the leaf", under("environments"), []string{
		module + "api", module + "controllers", module + "overlays", module + "analysis", module + "traffic", module + "forge", module + "registry", "k8s.io/", "sigs.k8s.io/",
	}},
	{"ports know neither the API nor Kubernetes", anyOf(exactly("overlays"), exactly("analysis"), exactly("traffic"), exactly("forge"), exactly("registry")), []string{
		module + "api", module + "controllers", "k8s.io/client-go", "k8s.io/api", "sigs.k8s.io/controller-runtime",
	}},
	{"adapters know neither the API nor controllers", anyOf(under("overlays/"), under("analysis/"), under("traffic/"), under("forge/"), under("registry/")), []string{
		module + "controllers", module + "cmd",
	}},
	{"the API imports nothing of ours and no client", under("api"), []string{
		module + "environments", module + "controllers", "k8s.io/client-go", "sigs.k8s.io/controller-runtime",
	}},
	{"controllers know ports, not adapters", under("controllers"), []string{
		module + "overlays/gitrepo", module + "forge/", module + "registry/oci", module + "traffic/gatewayapi", module + "traffic/replicas",
		module + "analysis/prometheus", module + "embedded", module + "cmd",
	}},
}

func under(prefix string) func(string) bool {
	return func(path string) bool {
		return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
	}
}

func exactly(path string) func(string) bool { return func(p string) bool { return p == path } }

func anyOf(conditions ...func(string) bool) func(string) bool {
	return func(path string) bool {
		for _, condition := range conditions {
			if condition(path) {
				return true
			}
		}
		return false
	}
}

func TestDirection(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, module+"...")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		path := strings.TrimPrefix(fields[0], module)
		for _, rule := range rules {
			if !rule.packages(path) {
				continue
			}
			seen[rule.name] = true
			for _, dependency := range fields[1:] {
				for _, forbidden := range rule.forbidden {
					if strings.HasPrefix(dependency, forbidden) {
						t.Errorf("%s: %s depends on %s", rule.name, path, dependency)
					}
				}
			}
		}
	}
	for _, rule := range rules {
		if !seen[rule.name] {
			t.Errorf("%s: the rule matches no package, so it checks nothing", rule.name)
		}
	}
}
