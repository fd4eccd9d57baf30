//go:build integration && !e2e

package sandbox

const testProfile = Light
