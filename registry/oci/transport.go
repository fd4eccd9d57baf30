package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/serin-gitops/serin/registry"
)

// Bounds of one request. A registry that fails longer than this is asked again
// at the next poll, not sooner.
const (
	attemptTimeout = 30 * time.Second
	retries        = 2
	retryWaitMin   = 200 * time.Millisecond
	retryWaitMax   = 2 * time.Second
)

// errPlainHTTP: go-containerregistry falls back to http for names that look
// local, which would send credentials in the clear unasked.
var errPlainHTTP = errors.New("plain http is not allowed for this registry; mark it insecure to allow it")

// newTransport makes the way to one registry: retried, patient, and over the
// one scheme that the credentials allow.
func newTransport(as registry.Credentials) (http.RoundTripper, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("the default HTTP transport is a %T, want *http.Transport", http.DefaultTransport)
	}
	base = base.Clone()
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(as.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(as.CA) {
			return nil, errors.New("the CA bundle holds no PEM certificate; give it as -----BEGIN CERTIFICATE-----")
		}
		base.TLSClientConfig.RootCAs = pool
	}
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{
		Transport: base,
		Timeout:   attemptTimeout,
		// The caller's client follows redirects: it knows which host may see
		// the credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = retries, retryWaitMin, retryWaitMax
	client.CheckRetry = checkRetry
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &patient{next: &retryablehttp.RoundTripper{Client: client}, insecure: as.Insecure}, nil
}

// checkRetry retries what another attempt may cure. Being asked for patience is
// not among it: the next poll is soon enough.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err == nil && limited(resp) {
		return false, nil
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// limited says whether the registry asks to wait.
func limited(resp *http.Response) bool {
	return resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""
}

// patient turns a request to wait into a LimitedError, while the header that
// says how long is at hand, and keeps to one scheme.
type patient struct {
	next     http.RoundTripper
	insecure bool
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	if !p.insecure && req.URL.Scheme != "https" {
		return nil, errPlainHTTP
	}
	if p.insecure && req.URL.Scheme != "http" {
		// go-containerregistry tries https first and learns from the answer's
		// request that it was http.
		req = req.Clone(req.Context())
		req.URL.Scheme = "http"
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil || !limited(resp) {
		return resp, err
	}
	// Drained, so that the connection is kept for the next poll; a failure to
	// do so only closes it.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return nil, &registry.LimitedError{
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err:        fmt.Errorf("%s answered %s", req.URL.Host, resp.Status),
	}
}

// retryAfter reads the header as RFC 9110 section 10.2.3 defines it: seconds or
// a date. Zero where it says nothing useful.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
