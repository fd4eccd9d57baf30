package webhooks

import (
	"net/url"
	"strings"
)

// Kind says what a Hint is about.
type Kind string

// The kinds of hint.
const (
	// Image: an image was pushed.
	Image Kind = "Image"
	// Branch: a branch was pushed, made or deleted.
	Branch Kind = "Branch"
	// PullRequest: a pull request was opened, changed, merged or closed.
	PullRequest Kind = "PullRequest"
)

// Hint says where to look; what is there is then asked of the registry or the
// Git host. Anybody may be wrong in a webhook, so nothing else may come of it.
type Hint struct {
	Kind Kind
	// Repository is the image's name without tag and digest, as the registry
	// calls itself. Kind Image only.
	Repository string
	// Tag and Digest are empty where the sender does not say.
	Tag, Digest string
	// URLs are the Git repository's addresses. Kinds Branch and PullRequest.
	URLs []string
	// Branch is what was pushed, or the pull request's target.
	Branch string
	// Merged says that the pull request is merged, so that its target may have
	// moved.
	Merged bool `json:",omitempty"`
	// Number is the pull request's.
	Number int64
}

// MatchesImage says whether the hint may be about this image repository. Hosts
// are not compared: a registry often goes by one name outside and another
// inside, and a needless look costs one request.
func (h Hint) MatchesImage(repository string) bool {
	return h.Kind == Image && overlap(imagePath(h.Repository), imagePath(repository))
}

// MatchesGit says whether the hint may be about this Git repository. As with
// images, hosts are not compared.
func (h Hint) MatchesGit(address string) bool {
	path := gitPath(address)
	for _, own := range h.URLs {
		if overlap(gitPath(own), path) {
			return true
		}
	}
	return false
}

// overlap says whether one path ends with the other: proxies add and remove
// leading parts.
func overlap(a, b string) bool {
	return a != "" && b != "" && (a == b || strings.HasSuffix(a, "/"+b) || strings.HasSuffix(b, "/"+a))
}

// imagePath is a repository without its host.
func imagePath(repository string) string {
	host, path, found := strings.Cut(repository, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		repository = path
	}
	return strings.TrimPrefix(repository, "library/")
}

// gitPath is the path of a Git address without ".git"; it reads scp-like
// addresses (git@host:path) as well.
func gitPath(address string) string {
	path := address
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		path = parsed.Path
	} else if _, after, found := strings.Cut(address, ":"); found {
		path = after
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(path, "/"), ".git"))
}
