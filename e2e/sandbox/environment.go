package sandbox

import (
	"fmt"
	"strings"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// environmentFile is a file of shell variables by which tests and people reach
// the sandbox: `set -a; . FILE`. It holds Gitea's token, hence its mode.
func environmentFile(l layout.Layout) string { return l.Path("environment") }

// environment renders the file: one NAME='value' on a line, nothing for what a
// profile or an existing cluster does not have.
func environment(c *Cluster) []byte {
	var text strings.Builder
	for _, one := range []struct{ name, value string }{
		{"KUBECONFIG", c.Kubeconfig},
		{"SERIN_PROMETHEUS_URL", c.PrometheusURL},
		{"SERIN_BOOTSTRAP_REGISTRY", c.BootstrapRegistry},
		{"SERIN_GATEWAY_URL", c.GatewayURL},
		{"SERIN_GITEA_URL", c.Gitea.URL},
		{"SERIN_GITEA_USER", c.Gitea.User},
		{"SERIN_GITEA_TOKEN", c.Gitea.Token},
	} {
		if one.value != "" {
			fmt.Fprintf(&text, "%s='%s'\n", one.name, strings.ReplaceAll(one.value, "'", `'\''`))
		}
	}
	return []byte(text.String())
}

// writeEnvironment replaces the file.
func writeEnvironment(l layout.Layout, c *Cluster) error {
	return layout.WriteFile(environmentFile(l), environment(c), 0o600)
}
