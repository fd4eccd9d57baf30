//go:build e2e && !scenarios

package scenarios

import "github.com/serin-gitops/serin/e2e/sandbox"

const profile = sandbox.Full

// lines has none: here the story is all.
var lines []string
