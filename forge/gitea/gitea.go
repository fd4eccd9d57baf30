// Package gitea is the forge.Host of Gitea and Forgejo
// (https://docs.gitea.com/api).
package gitea

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/serin-gitops/serin/forge"
)

const (
	// requestTimeout bounds one attempt of one request.
	requestTimeout = 30 * time.Second
	// pageSize and maxPages bound a look-up: the newest 1,000 pull requests.
	pageSize = 50
	maxPages = 20
	// settle is how long Gitea is given to notice a branch that was just
	// pushed, or to end its check for conflicts.
	settle     = 15 * time.Second
	settleStep = 250 * time.Millisecond
	// labelColour is what labels get that are not there yet.
	labelColour = "#3e8e41"
)

// Options of a Host. URL, Owner, Repository and Token are required.
type Options struct {
	// URL is the address of the Gitea server, without credentials.
	URL string
	// Owner and Repository name the repository.
	Owner, Repository string
	// Token is an access token that may read and write pull requests.
	Token string
	// CA is a PEM bundle trusted in addition to the system's.
	CA []byte
	// Style is how pull requests are merged: "merge" (the default), "rebase",
	// "rebase-merge", "squash" or "fast-forward-only".
	Style string
}

// Host implements forge.Host over one repository of a Gitea server.
type Host struct {
	options Options
	http    *http.Client
}

var _ forge.Host = (*Host)(nil)

// New makes a Host; it asks the server nothing yet.
func New(options Options) (*Host, error) {
	address, err := url.Parse(options.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return nil, errors.New("gitea: URL: write http(s)://host[:port][/path]")
	}
	if address.User != nil {
		return nil, fmt.Errorf("gitea: URL of %s: it holds credentials, give a token instead", address.Host)
	}
	if options.Owner == "" || options.Repository == "" || options.Token == "" {
		return nil, fmt.Errorf("gitea %s: owner, repository and token are required", address.Host)
	}
	if options.Style == "" {
		options.Style = string(sdk.MergeStyleMerge)
	}
	client, err := httpClient(options.CA)
	if err != nil {
		return nil, fmt.Errorf("gitea %s: %w", address.Host, err)
	}
	return &Host{options: options, http: client}, nil
}

// Locate gives URL, Owner and Repository of the Options for a repository's
// HTTP(S) clone address, such as https://git.example.com/acme/deploy.git.
// Credentials in the address are left out.
func Locate(cloneURL string) (Options, error) {
	address, err := url.Parse(cloneURL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return Options{}, errors.New("gitea: repository URL: write http(s)://host[:port]/owner/repository")
	}
	parts := strings.Split(strings.TrimSuffix(strings.Trim(address.Path, "/"), ".git"), "/")
	if len(parts) < 2 || parts[len(parts)-1] == "" {
		return Options{}, fmt.Errorf("gitea: repository URL of %s: its path %q is not owner/repository", address.Host, address.Path)
	}
	base := url.URL{Scheme: address.Scheme, Host: address.Host, Path: strings.Join(parts[:len(parts)-2], "/")}
	return Options{URL: strings.TrimSuffix(base.String(), "/"), Owner: parts[len(parts)-2], Repository: parts[len(parts)-1]}, nil
}

// httpClient retries what a server in trouble answers, and passes the last
// answer on.
func httpClient(ca []byte) (*http.Client, error) {
	retry := retryablehttp.NewClient()
	retry.Logger = nil
	retry.RetryMax = 3
	retry.RetryWaitMin = 200 * time.Millisecond
	retry.RetryWaitMax = 5 * time.Second
	retry.ErrorHandler = retryablehttp.PassthroughErrorHandler
	retry.HTTPClient.Timeout = requestTimeout
	if len(ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("system certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("CA: no certificate in it, write PEM")
		}
		transport, ok := retry.HTTPClient.Transport.(*http.Transport)
		if !ok {
			return nil, errors.New("CA: the HTTP transport takes none")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return retry.StandardClient(), nil
}

// api is the SDK's client for one call: it keeps the context in the client.
func (h *Host) api(ctx context.Context) (*sdk.Client, error) {
	client, err := sdk.NewClient(h.options.URL,
		sdk.SetContext(ctx), sdk.SetToken(h.options.Token), sdk.SetHTTPClient(h.http),
		// Without it every client asks for the server's version first.
		sdk.SetGiteaVersion(""))
	if err != nil {
		return nil, fmt.Errorf("gitea: %w", err)
	}
	return client, nil
}

// Find looks through the open pull requests, then through the others, newest
// first.
func (h *Host) Find(ctx context.Context, source, target string) (forge.PullRequest, error) {
	for _, state := range []sdk.StateType{sdk.StateOpen, sdk.StateClosed} {
		found, err := h.search(ctx, state, source, target)
		if err != nil || found.ID != "" {
			return found, err
		}
	}
	return forge.PullRequest{}, fmt.Errorf("%s: from %s to %s: %w", h, source, target, forge.ErrNotFound)
}

// search returns the newest one in a state, or the zero value.
func (h *Host) search(ctx context.Context, state sdk.StateType, source, target string) (forge.PullRequest, error) {
	client, err := h.api(ctx)
	if err != nil {
		return forge.PullRequest{}, err
	}
	for page := 1; page <= maxPages; page++ {
		list, answer, err := client.ListRepoPullRequests(h.options.Owner, h.options.Repository, sdk.ListPullRequestsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize}, State: state,
		})
		if err != nil {
			return forge.PullRequest{}, h.failed("list pull requests", answer, err)
		}
		for _, pr := range list {
			if isFrom(pr, source, target) {
				return describe(pr), nil
			}
		}
		if len(list) < pageSize {
			break
		}
	}
	return forge.PullRequest{}, nil
}

// isFrom says whether a pull request goes from source to target. One from a
// fork's branch of that name is a stranger's.
func isFrom(pr *sdk.PullRequest, source, target string) bool {
	return pr.Head != nil && pr.Base != nil && pr.Head.RepoID == pr.Base.RepoID &&
		pr.Head.Name == source && pr.Base.Ref == target
}

// Get returns the pull request with this number.
func (h *Host) Get(ctx context.Context, id string) (forge.PullRequest, error) {
	pr, err := h.get(ctx, id)
	if err != nil {
		return forge.PullRequest{}, err
	}
	return describe(pr), nil
}

func (h *Host) get(ctx context.Context, id string) (*sdk.PullRequest, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: pull request %q: not a number: %w", h, id, forge.ErrNotFound)
	}
	client, err := h.api(ctx)
	if err != nil {
		return nil, err
	}
	pr, answer, err := client.GetPullRequest(h.options.Owner, h.options.Repository, number)
	if err != nil {
		return nil, h.failed("pull request "+id, answer, err)
	}
	return pr, nil
}

// String names the repository in errors.
func (h *Host) String() string {
	return "gitea " + strings.TrimSuffix(h.options.URL, "/") + "/" + h.options.Owner + "/" + h.options.Repository
}

// failed puts an answer in the words of a Host. The SDK's errors hold the
// server's message and never the token, which travels in a header.
func (h *Host) failed(what string, answer *sdk.Response, err error) error {
	status := 0
	if answer != nil && answer.Response != nil {
		status = answer.StatusCode
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: %s: %w: %w", h, what, forge.ErrUnauthorized, err)
	case http.StatusNotFound:
		return fmt.Errorf("%s: %s: %w: %w", h, what, forge.ErrNotFound, err)
	default:
		return fmt.Errorf("%s: %s: %w", h, what, err)
	}
}

// describe turns Gitea's pull request into ours. Head.Name is the branch even
// where it was deleted since, Head.Ref is not.
func describe(pr *sdk.PullRequest) forge.PullRequest {
	out := forge.PullRequest{
		ID:    strconv.FormatInt(pr.Index, 10),
		URL:   pr.HTMLURL,
		Draft: forge.Draft{Title: pr.Title, Body: pr.Body},
		State: forge.Open,
	}
	if pr.Head != nil {
		out.Source, out.Head = pr.Head.Name, pr.Head.Sha
	}
	if pr.Base != nil {
		out.Target = pr.Base.Ref
	}
	for _, label := range pr.Labels {
		out.Labels = append(out.Labels, label.Name)
	}
	if pr.Updated != nil {
		out.Updated = *pr.Updated
	}
	switch {
	case pr.HasMerged:
		out.State = forge.Merged
		if pr.MergedCommitID != nil {
			out.MergedAs = *pr.MergedCommitID
		}
		if pr.MergedBy != nil {
			out.ClosedBy = pr.MergedBy.UserName
		}
	case pr.State == sdk.StateClosed:
		out.State = forge.Closed
	}
	return out
}
