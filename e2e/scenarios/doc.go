// Package scenarios tests Serin in a cluster: the whole story, and what may go
// wrong around it. The light profile has the build tag scenarios, the full one
// e2e. The tests share one world and run in the order of files and lines; each
// leaves every environment Healthy.
package scenarios
