//go:build scenarios

package scenarios

import (
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/world"
)

const profile = sandbox.Light

// lines are those that scenarios have for themselves.
var lines = []world.LineOptions{
	{Name: "rejected", Environments: []string{"dev", "staging"}},
	{Name: "held", Environments: []string{"dev"}},
	{Name: "broken", Environments: []string{"dev"}},
	{Name: "credentials", Environments: []string{"dev"}},
	{Name: "registry", Environments: []string{"dev", "staging"}},
	{Name: "race", Environments: []string{"dev"}},
	{Name: "missing", Environments: []string{"dev"}},
}
