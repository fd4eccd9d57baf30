package main

import "github.com/spf13/cobra"

// analysisCommands try an analysis before it is trusted.
func analysisCommands() []*cobra.Command {
	return []*cobra.Command{simulateCommand()}
}
