//go:build e2e && !scenarios

package scenarios

import "github.com/serin-gitops/serin/e2e/sandbox"

const profile = sandbox.Full
