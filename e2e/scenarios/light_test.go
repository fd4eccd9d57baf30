//go:build scenarios

package scenarios

import "github.com/serin-gitops/serin/e2e/sandbox"

const profile = sandbox.Light

// lines are those that scenarios have for themselves.
var lines = []string{"rejected", "held", "broken", "credentials", "registry", "race", "missing"}
