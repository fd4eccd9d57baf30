// Package wire speaks Git's pack protocol over HTTP and SSH through go-git's
// transports, with what go-git's own client has no option for: partial clone.
// Its errors are those of the port, without credentials.
package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/serin-gitops/serin/overlays"
)

const headsPrefix = "refs/heads/"

// Remote speaks Git's pack protocol (version 0) with one repository.
type Remote struct {
	// Name is the URL without credentials, for errors.
	Name string
	// Began is told of each exchange, by its operation; nil for nobody.
	Began   func(operation string)
	client  transport.Transport
	auth    transport.AuthMethod
	secrets []string
	// timeout bounds one exchange.
	timeout time.Duration

	mu sync.Mutex
	// endpoint is where the repository is, after redirects.
	endpoint transport.Endpoint
}

// Advertisement is what a server says of itself: ls-refs.
type Advertisement struct {
	// Branches are the tips by name.
	Branches map[string]plumbing.Hash
	caps     *capability.List
}

// Can says whether the server advertises a capability.
func (a Advertisement) Can(c capability.Capability) bool {
	return a.caps != nil && a.caps.Supports(c)
}

// The operations, as Began is told of them.
const (
	OperationList  = "list"
	OperationFetch = "fetch"
	OperationPush  = "push"
)

func (r *Remote) begin(operation string) {
	if r.Began != nil {
		r.Began(operation)
	}
}

// copyEndpoint is for one exchange: go-git changes it when it follows a redirect.
func (r *Remote) copyEndpoint() *transport.Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	endpoint := r.endpoint
	return &endpoint
}

// elsewhere is an error where an exchange was led to another server: credentials are
// for the one that was named.
func (r *Remote) elsewhere(led *transport.Endpoint) error {
	named := r.copyEndpoint()
	same := led.Protocol == named.Protocol && led.Port == named.Port || named.Protocol == "http" && led.Protocol == "https"
	if r.auth == nil || led.Host == named.Host && same {
		return nil
	}
	at := url.URL{Scheme: led.Protocol, Host: led.Host}
	if led.Port != 0 {
		at.Host = net.JoinHostPort(led.Host, strconv.Itoa(led.Port))
	}
	return &remoteError{text: fmt.Sprintf("%s leads to another server, %s, which does not get the credentials: give its address instead if that is right", r.Name, at.String())}
}

func (r *Remote) keepEndpoint(endpoint *transport.Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endpoint = *endpoint
}

// Refs asks for the branches and the capabilities.
func (r *Remote) Refs(ctx context.Context) (Advertisement, error) {
	r.begin(OperationList)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	endpoint := r.copyEndpoint()
	session, err := r.client.NewUploadPackSession(endpoint, r.auth)
	if err != nil {
		return Advertisement{}, r.wrap("list the branches of", err)
	}
	defer func() { _ = session.Close() }()
	return r.ask(ctx, "list the branches of", session, endpoint)
}

// ask is the beginning of every exchange that learns of the branches, of which an
// empty repository has none.
func (r *Remote) ask(ctx context.Context, action string, session transport.Session, endpoint *transport.Endpoint) (Advertisement, error) {
	refs, err := session.AdvertisedReferencesContext(ctx)
	if led := r.elsewhere(endpoint); led != nil {
		return Advertisement{}, led
	}
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return Advertisement{}, nil
	}
	if err != nil {
		return Advertisement{}, r.wrap(action, err)
	}
	r.keepEndpoint(endpoint)
	return advertised(refs), nil
}

func advertised(refs *packp.AdvRefs) Advertisement {
	a := Advertisement{Branches: map[string]plumbing.Hash{}, caps: refs.Capabilities}
	for name, hash := range refs.References {
		if branch, ok := strings.CutPrefix(name, headsPrefix); ok {
			a.Branches[branch] = hash
		}
	}
	return a
}

// Want is what a fetch asks for.
type Want struct {
	Hashes []plumbing.Hash
	// Haves are commits that are at hand.
	Haves []plumbing.Hash
	// Shallows are those of the haves whose parents are not at hand.
	Shallows []plumbing.Hash
	// Depth is how many generations of commits to get, 1 for the wanted ones
	// without their parents; 0 is all.
	Depth int
	// Blobless leaves file contents out, Treeless the trees as well.
	Blobless, Treeless bool
}

// Fetch asks for objects and hands the pack to sink.
func (r *Remote) Fetch(ctx context.Context, a Advertisement, w Want, sink func(io.Reader) error) error {
	r.begin(OperationFetch)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	session, err := r.client.NewUploadPackSession(r.copyEndpoint(), r.auth)
	if err != nil {
		return r.wrap("fetch from", err)
	}
	defer func() { _ = session.Close() }()
	request, err := w.request(a)
	if err != nil {
		return r.wrap("fetch from", err)
	}
	response, err := session.UploadPack(ctx, request)
	if err != nil {
		return r.wrap("fetch from", err)
	}
	defer func() { _ = response.Close() }()
	if err := sink(packOf(request, response)); err != nil {
		return r.wrap("fetch from", err)
	}
	return nil
}

// request is the upload-pack request for what is wanted. Without multi_ack and
// thin-pack, which go-git cannot read, the answer is one ACK or NAK and a pack
// that stands by itself.
func (w Want) request(a Advertisement) (*packp.UploadPackRequest, error) {
	request := packp.NewUploadPackRequestFromCapabilities(a.caps)
	for _, c := range []capability.Capability{capability.ThinPack, capability.MultiACK, capability.MultiACKDetailed} {
		request.Capabilities.Delete(c)
	}
	set := []capability.Capability{}
	if a.Can(capability.NoProgress) {
		set = append(set, capability.NoProgress)
	}
	request.Wants = append(request.Wants, w.Hashes...)
	request.Haves = append(request.Haves, w.Haves...)
	if w.Depth > 0 {
		set = append(set, capability.Shallow)
		request.Depth = packp.DepthCommits(w.Depth)
		request.Shallows = append(request.Shallows, w.Shallows...)
	}
	switch {
	case w.Treeless:
		set = append(set, capability.Filter)
		request.Filter = packp.FilterTreeDepth(0)
	case w.Blobless:
		set = append(set, capability.Filter)
		request.Filter = packp.FilterBlobNone()
	}
	for _, c := range set {
		if err := request.Capabilities.Set(c); err != nil {
			return nil, fmt.Errorf("capability %s: %w", c, err)
		}
	}
	return request, nil
}

// packOf is the pack in a response, the side band undone.
func packOf(request *packp.UploadPackRequest, response io.Reader) io.Reader {
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, response)
	case request.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, response)
	}
	return response
}

// remoteError is an error whose text holds no credential and which does not
// lead to the original, whose text may.
type remoteError struct {
	text string
	kind error
	// reason is the host's part of the text, where it is a lost race.
	reason string
}

// Error is the scrubbed text.
func (e *remoteError) Error() string { return e.text }

// Unwrap is the typed error.
func (e *remoteError) Unwrap() error { return e.kind }

// wrap makes go-git's error one of the port's, without credentials.
func (r *Remote) wrap(action string, err error) error {
	var done *remoteError
	if errors.As(err, &done) {
		return err
	}
	hint, kind := kindOf(err)
	text := fmt.Sprintf("%s %s: ", action, r.Name)
	if hint != "" {
		text += hint + ": "
	}
	return &remoteError{kind: kind, text: r.scrub(text + oneLine(err.Error()))}
}

// kindOf says what to do about go-git's error, and which of the port's it is.
func kindOf(err error) (hint string, kind error) {
	switch {
	case errors.Is(err, context.Canceled):
		return "", context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return "", context.DeadlineExceeded
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		strings.Contains(err.Error(), "unable to authenticate"):
		return overlays.ErrUnauthorized.Error() + ", check the Secret that secretRef names", overlays.ErrUnauthorized
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return "no such repository, or the credentials may not see it", transport.ErrRepositoryNotFound
	}
	return "", nil
}

// oneLine shortens what a server answers, which may be a page of HTML.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

// scrub takes the credentials out of a text, in whatever form they were sent.
func (r *Remote) scrub(text string) string {
	for _, secret := range r.secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return text
}

// limitedBuffer keeps the beginning of what is written to it, on one line.
type limitedBuffer struct {
	bytes.Buffer
	limit int
}

// Write keeps what fits and takes the rest for written.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(b.limit-b.Len(), 0))])
	return len(p), nil
}

// String is the text on one line.
func (b *limitedBuffer) String() string { return oneLine(b.Buffer.String()) }
