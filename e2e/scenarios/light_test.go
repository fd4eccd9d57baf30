//go:build scenarios

package scenarios

import "github.com/serin-gitops/serin/e2e/sandbox"

const profile = sandbox.Light
