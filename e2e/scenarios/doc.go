// Package scenarios tests Serin in a cluster: the whole story, and what may go
// wrong around it. The light profile has the build tag scenarios, the full one
// e2e. The tests share one world. The one that kills Serin, which all share, runs
// alone in the line of the story, and leaves every environment Healthy; then the
// others run side by side, each in a line that no other test is in.
package scenarios
