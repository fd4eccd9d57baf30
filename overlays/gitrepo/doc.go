// Package gitrepo writes Git repositories without a checkout: the adapter of
// overlays.Repository over go-git.
//
// A bare store for each remote and its credentials is kept on disk. The tip of
// a branch is fetched at depth 1 and, where the server can, without file
// contents (partial clone, filter blob:none); the few blobs that an edit or a
// rendering reads are asked for by hash. A commit rewrites the trees on the
// edited paths only. So a promotion costs what the path is deep, not what the
// repository is large.
package gitrepo
