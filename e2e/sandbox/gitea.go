package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Gitea is the sandbox's Git host and OCI registry, of profile full.
type Gitea struct {
	// URL is Gitea from the host.
	URL string `json:"url"`
	// ClusterURL is Gitea from pods and for Cluster.Dial; its host:port is also
	// what images in its registry are named by, as in gitea.local:3000/OWNER/NAME.
	ClusterURL string `json:"clusterURL"`
	// NodeURL is Gitea for processes of the node that do not know its name, such
	// as Flux.
	NodeURL string `json:"nodeURL"`
	// User is the administrator, who owns Token.
	User string `json:"user"`
	// Password is User's.
	Password string `json:"password"`
	// Token has every scope of Gitea's API, and serves as a password for Git and
	// the registry.
	Token string `json:"token"`
}

// giteaAdmin is the administrator's name; Gitea reserves "admin".
const giteaAdmin = "serin"

// giteaFile keeps Gitea's administrator between starts.
func giteaFile(l layout) string { return l.path("gitea-access.json") }

// savedGitea reads what an earlier Up left, the zero value when there was none.
func savedGitea(l layout) (Gitea, error) {
	text, err := os.ReadFile(giteaFile(l))
	if errors.Is(err, os.ErrNotExist) {
		return Gitea{}, nil
	}
	if err != nil {
		return Gitea{}, err
	}
	var saved Gitea
	if err := json.Unmarshal(text, &saved); err != nil {
		return Gitea{}, fmt.Errorf("%s: %w", giteaFile(l), err)
	}
	return saved, nil
}
