package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/serin-gitops/serin/overlays"
)

// Dial prepares the exchanges with a remote; it sends nothing.
func Dial(to overlays.Remote, timeout time.Duration) (*Remote, error) {
	u, err := url.Parse(to.URL)
	if err != nil {
		// The error of url.Parse repeats the URL, which may hold a password.
		return nil, errors.New("the repository's URL cannot be read; write https://host/path, http://host/path or ssh://user@host/path")
	}
	if password, ok := u.User.Password(); ok && to.Password == "" {
		to.Password = password
	}
	if to.Username == "" {
		to.Username = u.User.Username()
	}
	u.User = nil
	shown := *u
	// What is asked for in a query may be a token.
	shown.RawQuery, shown.Fragment = "", ""
	r := &Remote{Name: shown.String(), timeout: timeout}
	for _, secret := range []string{to.Password, to.Bearer, u.RawQuery} {
		if secret != "" {
			r.secrets = append(r.secrets, secret)
		}
	}
	endpoint, err := transport.NewEndpoint(u.String())
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", r.Name, err)
	}
	r.endpoint = *endpoint
	switch u.Scheme {
	case "http", "https":
		err = r.overHTTP(to)
	case "ssh":
		err = r.overSSH(to)
	default:
		err = fmt.Errorf("the scheme %q is not supported, use https, http or ssh", u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", r.Name, err)
	}
	return r, nil
}

func (r *Remote) overHTTP(to overlays.Remote) error {
	switch {
	case to.Bearer != "":
		r.auth = &githttp.TokenAuth{Token: to.Bearer}
	case to.Username != "" || to.Password != "":
		username := to.Username
		if username == "" {
			// Hosts that take a token as password ask for some user name.
			username = "git"
		}
		r.auth = &githttp.BasicAuth{Username: username, Password: to.Password}
	}
	client, err := httpClient(to.CA)
	if err != nil {
		return err
	}
	r.client = githttp.NewClient(client)
	return nil
}

// httpClient retries what a busy host refuses. A push that is sent twice does
// no harm: it names the commit that it expects the branch to be at.
func httpClient(ca []byte) (*http.Client, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport = transport.Clone()
	transport.ResponseHeaderTimeout = time.Minute
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("the CA bundle holds no PEM certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	retrying := retryablehttp.NewClient()
	retrying.HTTPClient = &http.Client{
		Transport: transport,
		// Redirects are go-git's business: it takes the credentials off.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	retrying.Logger = nil
	retrying.RetryMax = 3
	retrying.RetryWaitMin = 200 * time.Millisecond
	retrying.RetryWaitMax = 2 * time.Second
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return retrying.StandardClient(), nil
}

func (r *Remote) overSSH(to overlays.Remote) error {
	if len(to.PrivateKey) == 0 {
		return errors.New("no private key for ssh is given")
	}
	if len(to.KnownHosts) == 0 {
		return errors.New("no known_hosts for ssh is given; without them the host cannot be told from an impostor")
	}
	username := to.Username
	if username == "" {
		username = "git"
	}
	keys, err := gitssh.NewPublicKeys(username, to.PrivateKey, to.Password)
	if err != nil {
		// The parser's text may repeat parts of the key.
		return errors.New("the ssh private key cannot be read; is it PEM, and does the passphrase fit?")
	}
	// The library reads known hosts from files only.
	file, err := os.CreateTemp("", "known-hosts-")
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(to.KnownHosts)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	keys.HostKeyCallback, err = gitssh.NewKnownHostsCallback(file.Name())
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	r.auth, r.client = keys, gitssh.NewClient(nil)
	return nil
}
