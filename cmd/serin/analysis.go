package main

import (
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/cmd/serin/tryout"
)

// analysisCommands try an analysis before it is trusted, and look at it after.
func analysisCommands() []*cobra.Command {
	return tryout.Commands(func() tryout.Cluster { return &reached{} })
}

// reached implements tryout.Cluster.
type reached struct{ conn connection }

// Flags implements tryout.Cluster.
func (r *reached) Flags(cmd *cobra.Command) { r.conn.flags(cmd) }

// Open implements tryout.Cluster.
func (r *reached) Open() (client.Client, string, error) {
	c, err := r.conn.open()
	return c, r.conn.namespace, err
}
