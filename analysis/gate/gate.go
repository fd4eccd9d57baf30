// Package gate asks a gate or a test outside, by a signed webhook of
// https://www.standardwebhooks.com, whether a canary may go on. It observes;
// package analysis judges. What a receiver has to know is in docs/gates.md.
package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// EventType is the type of what is posted.
	EventType = "serin.gate"
	// DefaultTimeout bounds one request.
	DefaultTimeout = 10 * time.Second
	// retries of one look, where the gate is away: a sample is rare, a lost
	// connection is not.
	retries = 1
	// pause before a retry.
	pause = 250 * time.Millisecond
	// maxBody bounds what is read of one answer.
	maxBody = 64 << 10
)

// Question is what a gate is asked: what is on trial, and where.
type Question struct {
	// Check is the name of the check that asks.
	Check     string `json:"check"`
	Namespace string `json:"namespace"`
	Rollout   string `json:"rollout"`
	// Workload is the name of the workload that takes a new revision.
	Workload string `json:"workload"`
	// Trial counts the trials of the Rollout.
	Trial int64 `json:"trial"`
	// Step is the index of the step, from 0.
	Step int32 `json:"step"`
	// Weight of the step in percent.
	Weight int32 `json:"weight"`
	// Serving says that the canary is given traffic now.
	Serving bool     `json:"serving"`
	Stable  Revision `json:"stable"`
	Canary  Revision `json:"canary"`
	// Args are those of the check.
	Args map[string]string `json:"args,omitempty"`
}

// Revision is one of the two that are compared.
type Revision struct {
	Images []string `json:"images,omitempty"`
	// Hash of the pod template, as Serin counts it.
	Hash string `json:"hash,omitempty"`
	// PodTemplateHash is the label of its pods, where known.
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
}

// event is the body of a request, in the form that Standard Webhooks recommend.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Question  `json:"data"`
}

// Credentials sign a request and authenticate it; both may be empty.
type Credentials struct {
	// Secret in base64, with or without whsec_ before it.
	Secret string
	// Token is sent as bearer.
	Token string
}

// Client asks gates. It is safe for use by many at once.
type Client struct {
	transport http.RoundTripper
}

// New makes a Client.
func New() *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: DefaultTimeout}).DialContext
	transport.MaxResponseHeaderBytes = maxBody
	return &Client{transport: transport}
}

// Check says whether a webhook check can be asked; a wrong address is an
// *analysis.Absence of kind BadQuery.
func Check(check analysis.Check) error {
	if check.Webhook == nil {
		return nil
	}
	_, err := address(check.Webhook.URL)
	return err
}

// address parses an address; the error does not hold it, since it may hold what
// is secret.
func address(text string) (*url.URL, error) {
	bad := func(what string) error {
		return &analysis.Absence{Kind: analysis.BadQuery, Message: "webhook.url " + what}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, bad("cannot be parsed; give an address such as https://gate.example.com/serin")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, bad("must begin with http:// or https:// and name a host")
	case u.User != nil:
		return nil, bad("holds credentials; put a token into the Secret of secretRef")
	case strings.Contains(text, "${"):
		return nil, bad("has a placeholder that nothing fills; name a parameter of the template")
	}
	return u, nil
}

// Ask posts a question and gives the observation at now. All requests of one
// call have the same webhook-id, by which a receiver knows a repeated one.
//
// An answer of 2xx passes, or says otherwise by its JSON; 202 without a body
// means that the gate is not ready yet; 4xx fails the sample. What is left (5xx,
// 408, 429, no answer, one that cannot be read) is an outage: it never decides.
// Messages hold no secret.
func (c *Client) Ask(ctx context.Context, check analysis.Check, q Question, enter Credentials, now time.Time) analysis.Observation {
	o := analysis.Observation{Check: check.Name, Window: analysis.Window{Start: now, End: now}}
	var err error
	if o.Answer, err = c.ask(ctx, *check.Webhook, q, enter, now); err != nil && !errors.As(err, &o.Absence) {
		o.Absence = &analysis.Absence{Kind: analysis.Outage, Message: err.Error()}
	}
	if o.Absence != nil {
		o.Absence.Message = enter.conceal(o.Absence.Message)
	} else {
		o.Answer.Message = enter.conceal(o.Answer.Message)
	}
	return o
}

// conceal takes credentials out of a text that a receiver may have sent back.
func (c Credentials) conceal(text string) string {
	for _, secret := range []string{c.Secret, strings.TrimPrefix(c.Secret, "whsec_"), c.Token} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

func (c *Client) ask(ctx context.Context, hook analysis.Webhook, q Question, enter Credentials, now time.Time) (*analysis.Answer, error) {
	target, err := address(hook.URL)
	if err != nil {
		return nil, err
	}
	timeout := hook.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	request, err := newRequest(ctx, target, q, enter, now)
	if err != nil {
		return nil, err
	}
	answer, err := c.client(timeout).Do(request)
	if err != nil {
		return nil, fmt.Errorf("POST to %s: %w", target.Host, cause(err, timeout))
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("POST to %s: reading the answer: %w", target.Host, cause(err, timeout))
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("POST to %s: the answer is larger than 64 KiB", target.Host)
	}
	// Before a part of it is cut off: half a secret would not be known again.
	got, err := read(answer.StatusCode, answer.Header.Get("Content-Type"), []byte(enter.conceal(string(body))))
	if err != nil {
		return nil, fmt.Errorf("POST to %s: %w", target.Host, err)
	}
	return got, nil
}

// client is one for a time limit, over the connections of all.
func (c *Client) client(timeout time.Duration) *retryablehttp.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = retries
	client.RetryWaitMin, client.RetryWaitMax = pause, pause
	// A gate that asks for a later time is asked again at the next look.
	client.Backoff = func(least, _ time.Duration, _ int, _ *http.Response) time.Duration { return least }
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	client.HTTPClient = &http.Client{
		Transport: c.transport, Timeout: timeout,
		// A signed question is for one receiver, and a redirected POST is none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client
}

// newRequest writes and signs a question.
func newRequest(ctx context.Context, target *url.URL, q Question, enter Credentials, now time.Time) (*retryablehttp.Request, error) {
	body, err := json.Marshal(event{Type: EventType, Timestamp: now.UTC(), Data: q})
	if err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("POST to %s: the request cannot be made", target.Host)
	}
	id := q.id(now)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "serin")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if enter.Token != "" {
		request.Header.Set("Authorization", "Bearer "+enter.Token)
	}
	if enter.Secret == "" {
		return request, nil
	}
	signer, err := standardwebhooks.NewWebhook(enter.Secret)
	if err != nil {
		return nil, errors.New("the secret that signs requests is not base64; write whsec_ and 24 to 64 random bytes in base64")
	}
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return nil, errors.New("the request cannot be signed")
	}
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return request, nil
}

// id names one look.
func (q Question) id(now time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%s/%d", q.Namespace, q.Rollout, q.Trial, q.Check, now.UnixNano()))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// cause is the innermost reason that says something to a person; what is around
// it holds the address, which may hold what is secret.
func cause(err error, timeout time.Duration) error {
	var timedOut net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timedOut) && timedOut.Timeout() {
		return fmt.Errorf("no answer within %s", timeout)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
