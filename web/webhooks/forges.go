package webhooks

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
)

// repository is a Git repository as GitHub, Gitea and their likes name it.
type repository struct {
	CloneURL string `json:"clone_url"`
	SSHURL   string `json:"ssh_url"`
	HTMLURL  string `json:"html_url"`
}

func (r repository) urls() []string {
	var known []string
	for _, address := range []string{r.CloneURL, r.SSHURL, r.HTMLURL} {
		if address != "" {
			known = append(known, address)
		}
	}
	return known
}

// forgeEvent is a push or pull request as GitHub and Gitea send it.
type forgeEvent struct {
	// Ref is of a push: refs/heads/<branch>. A create or delete event has the
	// bare name, and RefType says of what.
	Ref         string     `json:"ref"`
	RefType     string     `json:"ref_type"`
	Repository  repository `json:"repository"`
	Number      int64      `json:"number"`
	PullRequest struct {
		Merged bool `json:"merged"`
		Base   struct {
			Ref string `json:"ref"`
		} `json:"base"`
	} `json:"pull_request"`
}

// parseForgeEvent reads what GitHub and Gitea have in common.
func parseForgeEvent(name string, body []byte) ([]Hint, error) {
	var e forgeEvent
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	switch {
	case name == "push":
		return branchHint(e.Ref, e.Repository.urls()), nil
	case (name == "create" || name == "delete") && e.RefType == "branch":
		// Gitea tells of a branch that is renamed by these two, and no push.
		return []Hint{{Kind: Branch, Branch: strings.TrimPrefix(e.Ref, "refs/heads/"), URLs: e.Repository.urls()}}, nil
	case name == "pull_request" || strings.HasPrefix(name, "pull_request_"):
		return []Hint{{
			Kind: PullRequest, Number: e.Number, Branch: e.PullRequest.Base.Ref, Merged: e.PullRequest.Merged, URLs: e.Repository.urls(),
		}}, nil
	}
	return nil, nil
}

// branchHint is for refs/heads/<branch>; tags and notes are of no interest.
func branchHint(ref string, urls []string) []Hint {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return nil
	}
	return []Hint{{Kind: Branch, Branch: branch, URLs: urls}}
}

// parseGitea reads Gitea's, Forgejo's and Gogs's push, create, delete,
// pull_request and package events. https://docs.gitea.com/usage/webhooks
func parseGitea(header http.Header, body []byte) ([]Hint, error) {
	name := cmp.Or(header.Get("X-Gitea-Event"), header.Get("X-Forgejo-Event"), header.Get("X-Gogs-Event"))
	if name != "package" {
		return parseForgeEvent(name, body)
	}
	var e struct {
		Action  string `json:"action"`
		Package struct {
			Type    string `json:"type"`
			Name    string `json:"name"`
			Version string `json:"version"`
			HTMLURL string `json:"html_url"`
			Owner   struct {
				Login string `json:"login"`
			} `json:"owner"`
		} `json:"package"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	if e.Action != "created" || e.Package.Type != "container" || e.Package.Name == "" {
		return nil, nil
	}
	hint := Hint{Kind: Image, Repository: join(hostOf(e.Package.HTMLURL), strings.ToLower(e.Package.Owner.Login), e.Package.Name)}
	if strings.Contains(e.Package.Version, ":") {
		hint.Digest = e.Package.Version
	} else {
		hint.Tag = e.Package.Version
	}
	return []Hint{hint}, nil
}

// githubPackage is the package of GitHub's package and registry_package events.
type githubPackage struct {
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	PackageType string `json:"package_type"`
	Version     struct {
		ContainerMetadata struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
		} `json:"container_metadata"`
	} `json:"package_version"`
}

// parseGitHub reads GitHub's push, create, delete, pull_request,
// package and registry_package events.
// https://docs.github.com/webhooks/webhook-events-and-payloads
func parseGitHub(header http.Header, body []byte) ([]Hint, error) {
	name := header.Get("X-GitHub-Event")
	if name != "package" && name != "registry_package" {
		return parseForgeEvent(name, body)
	}
	var e struct {
		Package         *githubPackage `json:"package"`
		RegistryPackage *githubPackage `json:"registry_package"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	p := cmp.Or(e.Package, e.RegistryPackage)
	if p == nil || !strings.EqualFold(p.PackageType, "container") || p.Name == "" {
		return nil, nil
	}
	tag := p.Version.ContainerMetadata.Tag
	return []Hint{{
		Kind: Image, Repository: join("ghcr.io", strings.ToLower(p.Namespace), strings.ToLower(p.Name)),
		Tag: tag.Name, Digest: tag.Digest,
	}}, nil
}

// parseGitLab reads GitLab's push and merge request events; its registry sends
// the distribution project's format.
// https://docs.gitlab.com/user/project/integrations/webhook_events/
func parseGitLab(_ http.Header, body []byte) ([]Hint, error) {
	var e struct {
		ObjectKind string `json:"object_kind"`
		Ref        string `json:"ref"`
		Project    struct {
			HTTPURL string `json:"git_http_url"`
			SSHURL  string `json:"git_ssh_url"`
			WebURL  string `json:"web_url"`
		} `json:"project"`
		Attributes struct {
			IID          int64  `json:"iid"`
			TargetBranch string `json:"target_branch"`
			State        string `json:"state"`
		} `json:"object_attributes"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	urls := repository{CloneURL: e.Project.HTTPURL, SSHURL: e.Project.SSHURL, HTMLURL: e.Project.WebURL}.urls()
	switch e.ObjectKind {
	case "push":
		return branchHint(e.Ref, urls), nil
	case "merge_request":
		return []Hint{{Kind: PullRequest, Number: e.Attributes.IID, Branch: e.Attributes.TargetBranch, Merged: e.Attributes.State == "merged", URLs: urls}}, nil
	}
	return nil, nil
}
