// Package gitrepotest holds the conformance suite of overlays.Repository, a
// real Git server over HTTP to run it against, and another writer: the git
// command line, which also judges what was written.
package gitrepotest
