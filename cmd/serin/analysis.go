package main

import (
	"github.com/spf13/cobra"

	"github.com/serin-gitops/serin/cmd/serin/people"
	"github.com/serin-gitops/serin/cmd/serin/tryout"
)

// analysisCommands try an analysis before it is trusted, and look at it after.
func analysisCommands() []*cobra.Command {
	return tryout.Commands(func() tryout.Cluster { return &people.Connection{} })
}
