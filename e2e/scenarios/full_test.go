//go:build e2e && !scenarios

package scenarios

import (
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/world"
)

const profile = sandbox.Full

// lines has none: here the story is all.
var lines []world.LineOptions
