// Package crd holds the definitions of Serin's kinds as a cluster gets them, for
// what checks objects without a cluster.
package crd

import "embed"

// Files are the CustomResourceDefinitions, one file a kind, named as
// serin.dev_rollouts.yaml.
//
//go:embed serin.dev_*.yaml
var Files embed.FS
