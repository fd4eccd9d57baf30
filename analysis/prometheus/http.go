package prometheus

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// newHTTPClient puts retries around the authentication of prometheus/common.
func newHTTPClient(o Options) (*http.Client, error) {
	cfg, err := o.connection()
	if err != nil {
		return nil, err
	}
	cfg.HTTPHeaders = o.headers()
	if o.Username != "" || o.Password != "" {
		cfg.BasicAuth = &config.BasicAuth{Username: o.Username, Password: config.Secret(o.Password)}
	}
	if o.Token != "" {
		cfg.Authorization = &config.Authorization{Type: "Bearer", Credentials: config.Secret(o.Token)}
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	inner, err := config.NewClientFromConfig(cfg, "serin")
	if err != nil {
		return nil, err
	}
	if o.OAuth2 != nil {
		if inner.Transport, err = o.authorised(inner.Transport); err != nil {
			return nil, err
		}
	}
	inner.Transport = &limited{next: inner.Transport, longest: maxAnswer}
	return retrying(inner), nil
}

// connection is how any server is reached, without what is sent to it.
func (o Options) connection() (config.HTTPClientConfig, error) {
	cfg := config.DefaultHTTPClientConfig
	if (o.Certificate == "") != (o.Key == "") {
		return cfg, fmt.Errorf("a client's certificate and its key are given together or not at all")
	}
	if o.Certificate != "" {
		// The library reads them at the first handshake only.
		if _, err := tls.X509KeyPair([]byte(o.Certificate), []byte(o.Key)); err != nil {
			return cfg, fmt.Errorf("the client's certificate and key: %w", err)
		}
	}
	cfg.TLSConfig = config.TLSConfig{CA: o.CA, Cert: o.Certificate, Key: config.Secret(o.Key)}
	if o.ProxyURL == "" {
		cfg.ProxyFromEnvironment = true
		return cfg, nil
	}
	proxy, err := url.Parse(o.ProxyURL)
	if err != nil || proxy.Host == "" {
		return cfg, fmt.Errorf("proxy url %q is not an absolute URL such as http://proxy:3128", redactURL(o.ProxyURL))
	}
	cfg.ProxyURL = config.URL{URL: proxy}
	return cfg, nil
}

func (o Options) headers() *config.Headers {
	if len(o.Headers) == 0 {
		return nil
	}
	headers := &config.Headers{Headers: map[string]config.Header{}}
	for name, value := range o.Headers {
		headers.Headers[name] = config.Header{Secrets: []config.Secret{config.Secret(value)}}
	}
	return headers
}

// authorised adds tokens of the client credentials grant. The OAuth2 of
// prometheus/common is not used: it asks for a token without any time-out, so
// that an endpoint that hangs would hold a query for ever.
func (o Options) authorised(next http.RoundTripper) (http.RoundTripper, error) {
	switch {
	case o.OAuth2.ClientID == "" || o.OAuth2.ClientSecret == "" || o.OAuth2.TokenURL == "":
		return nil, fmt.Errorf("oauth2 needs a client's identifier, its secret and the URL of the tokens")
	case o.Token != "" || o.Username != "" || o.Password != "":
		return nil, fmt.Errorf("oauth2 excludes a bearer token and basic authentication: give one of them")
	}
	cfg, err := o.connection()
	if err != nil {
		return nil, err
	}
	inner, err := config.NewClientFromConfig(cfg, "serin-oauth2")
	if err != nil {
		return nil, err
	}
	inner.Timeout, inner.Transport = o.timeout(), &limited{next: inner.Transport, longest: maxToken}
	where, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("prometheus url %q cannot be parsed", redactURL(o.URL))
	}
	grant := clientcredentials.Config{
		ClientID: o.OAuth2.ClientID, ClientSecret: o.OAuth2.ClientSecret, TokenURL: o.OAuth2.TokenURL, Scopes: o.OAuth2.Scopes,
	}
	tokens := grant.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, retrying(inner)))
	return &onlyAt{host: where.Host, there: &oauth2.Transport{Source: tokens, Base: next}, elsewhere: next}, nil
}

// onlyAt keeps a token from the server that another one redirects to.
type onlyAt struct {
	host             string
	there, elsewhere http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (r *onlyAt) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != r.host {
		return r.elsewhere.RoundTrip(request)
	}
	return r.there.RoundTrip(request)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (r *onlyAt) CloseIdleConnections() {
	if closer, ok := r.elsewhere.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// retrying tries again what failed for a moment.
func retrying(inner *http.Client) *http.Client {
	client := retryablehttp.NewClient()
	client.HTTPClient = inner
	client.Logger = nil
	client.RetryMax = retries
	client.RetryWaitMin, client.RetryWaitMax = 100*time.Millisecond, time.Second
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	outer := client.StandardClient()
	outer.Timeout = inner.Timeout
	return outer
}
