package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"code.gitea.io/sdk/gitea"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/builds"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
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
func giteaFile(l layout.Layout) string { return l.Path("gitea-access.json") }

// savedGitea reads what an earlier Up left, the zero value when there was none.
func savedGitea(l layout.Layout) (Gitea, error) {
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

func giteaArgs(l layout.Layout, args ...string) []string {
	return append([]string{l.Tool(partGitea), "--config", l.Path("config", "gitea.ini"), "--work-path", l.Path("gitea")}, args...)
}

func giteaEnv(l layout.Layout) []string {
	// Everything in the sandbox runs as root; Gitea wants that confirmed.
	return []string{"GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT=true", "HOME=" + l.Path("gitea", "home")}
}

// prepareGiteaFiles makes Gitea's directory and secrets, once, and returns the
// directory of its module, whose templates and locales it needs to run.
func prepareGiteaFiles(ctx context.Context, l layout.Layout) (string, error) {
	if err := os.MkdirAll(l.Path("gitea", "home"), 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"secret-key", "internal-token"} {
		file := l.Path("gitea", name)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := layout.WriteFile(file, []byte(randomHex()), 0o600); err != nil {
			return "", err
		}
	}
	return builds.ModuleDir(ctx, filepath.Join(l.Root, "e2e", "tools", "gitea"), giteaModule)
}

// randomHex is a secret of 256 bits.
func randomHex() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, as documented
	return hex.EncodeToString(secret[:])
}

// prepareGitea creates the administrator with a token, or makes sure that those
// of an earlier start still serve, and fills in c.Gitea.
func prepareGitea(ctx context.Context, c *Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %s; Gitea's log is %s", readyTimeout, c.layout.Log(partGitea)))
	defer cancel()
	access, err := savedGitea(c.layout)
	if err != nil {
		return err
	}
	if access.Password == "" {
		access.Password = randomHex()
	}
	access.User = giteaAdmin
	access.URL = "http://" + layout.HostPort("127.0.0.1", layout.HostGiteaPort)
	access.ClusterURL = "http://" + layout.HostPort("gitea.local", layout.GiteaPort)
	access.NodeURL = "http://" + layout.HostPort(NodeAddress, layout.GiteaPort)
	// Saved before it is used: a start cut short knows the password next time.
	if err := saveGitea(c.layout, access); err != nil {
		return err
	}
	err = until(ctx, func(ctx context.Context) error {
		if access.Token != "" && checkToken(ctx, c, access) == nil {
			return nil
		}
		if err := createAdmin(ctx, c.layout, access); err != nil {
			return err
		}
		access.Token, err = createToken(ctx, c, access)
		return err
	})
	if err != nil {
		return err
	}
	c.Gitea = access
	return saveGitea(c.layout, access)
}

func saveGitea(l layout.Layout, access Gitea) error {
	text, err := json.MarshalIndent(access, "", "  ")
	if err != nil {
		return err
	}
	return layout.WriteFile(giteaFile(l), text, 0o600)
}

// createAdmin adds the administrator by Gitea's command, the only way before
// there is one. That it is there already is fine.
func createAdmin(ctx context.Context, l layout.Layout, access Gitea) error {
	argv := giteaArgs(l, "admin", "user", "create", "--admin", "--username", access.User, "--password", access.Password,
		"--email", access.User+"@gitea.local", "--must-change-password=false")
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = append(os.Environ(), giteaEnv(l)...)
	out, err := command.CombinedOutput()
	if err == nil || strings.Contains(string(out), "user already exists") {
		return nil
	}
	// Its output does not repeat the arguments, and so not the password.
	return fmt.Errorf("gitea admin user create: %w: %s", err, strings.TrimSpace(string(out)))
}

// tokenName is the token's name within Gitea.
const tokenName = "sandbox"

// createToken makes the administrator's token anew.
func createToken(ctx context.Context, c *Cluster, access Gitea) (string, error) {
	client, err := giteaClient(ctx, c, access, gitea.SetBasicAuth(access.User, access.Password))
	if err != nil {
		return "", err
	}
	if response, err := client.DeleteAccessToken(tokenName); err != nil && (response == nil || response.StatusCode != http.StatusNotFound) {
		return "", fmt.Errorf("replace Gitea's token %s: %w", tokenName, err)
	}
	token, _, err := client.CreateAccessToken(gitea.CreateAccessTokenOption{Name: tokenName, Scopes: []gitea.AccessTokenScope{gitea.AccessTokenScopeAll}})
	if err != nil {
		return "", fmt.Errorf("create Gitea's token %s: %w", tokenName, err)
	}
	return token.Token, nil
}

// checkToken tells whether Gitea takes the token.
func checkToken(ctx context.Context, c *Cluster, access Gitea) error {
	client, err := giteaClient(ctx, c, access, gitea.SetToken(access.Token))
	if err != nil {
		return err
	}
	_, _, err = client.GetMyUserInfo()
	return err
}

func giteaClient(ctx context.Context, c *Cluster, access Gitea, option gitea.ClientOption) (*gitea.Client, error) {
	client, err := gitea.NewClient(access.NodeURL, gitea.SetContext(ctx), gitea.SetHTTPClient(&http.Client{Transport: c.Transport()}), option)
	if err != nil {
		return nil, fmt.Errorf("gitea: %w", err)
	}
	return client, nil
}
