// Package scenarios tests Serin in a cluster: the whole story, and what may go
// wrong around it. The light profile has the build tag scenarios, the full one
// e2e. The tests share one world. Those that stop what all share run one after the
// other in the line of the story, and leave every environment Healthy; then the others
// run side by side, each in a line of its own.
package scenarios
